//! One document of many.

use sb_audit::*;
use sb_crypto::{TreeHasher, inclusion_proof, leaf_hash, sha256};

fn leaf(path: &str, size: u64) -> String {
    let (salt, sha256) = ("0123456789abcdef".repeat(2), sha256(path.as_bytes()));
    format!(
        r#"{{"id":"5f","mtime":"@-62167219201.000000000","path":"{path}","salt":"{salt}","sha256":"{sha256}","size":{size},"v":"sb-doc/v1"}}"#
    )
}

#[test]
fn each_of_some_documents_is_shown_alone() {
    let leaves: Vec<_> = (0..7).map(|index| leaf(&format!("/f/{index}"), index)).collect();
    let hashes: Vec<_> = leaves.iter().map(|leaf| leaf_hash(leaf.as_bytes())).collect();
    let mut tree = TreeHasher::new();
    tree.extend(hashes.iter().copied());
    let tree = DocumentTree { size: 7, root: tree.root() };
    for (index, leaf) in leaves.iter().enumerate() {
        let proof = DocumentProof { index: index as u64, path: inclusion_proof(&hashes, index) };
        let read = DocumentProof::parse(proof.to_string().as_bytes()).unwrap();
        assert_eq!(read, proof);
        let document = read.verify(leaf.as_bytes(), &tree).unwrap();
        assert_eq!((document.path, document.size), (format!("/f/{index}").into_bytes(), index as u64));
        let other = DocumentTree { root: hashes[0], ..tree };
        let error = proof.verify(leaf.as_bytes(), &other).unwrap_err();
        assert_eq!(error.to_string(), format!("the proof does not show this document to be number {index} of 7"));
        let forged = leaf.replace(r#""id":"5f""#, r#""id":"60""#);
        assert!(matches!(proof.verify(forged.as_bytes(), &tree), Err(DocumentError::NotIncluded { .. })));
        assert!(matches!(proof.verify(b"{}", &tree), Err(DocumentError::Malformed(_))));
    }
}

#[test]
fn a_path_is_bytes() {
    let document = Document::parse(leaf("/Ж%FF%25/ä", u64::MAX).as_bytes()).unwrap();
    assert_eq!(document.path, ["/Ж".as_bytes(), b"\xff%", "/ä".as_bytes()].concat());
    assert_eq!((document.id.as_str(), document.size), ("5f", u64::MAX));
    assert_eq!(document.modified, "@-62167219201.000000000");
    for bad in ["%", "%f", "%ff", "%F", "%G0", "a%"] {
        assert!(Document::parse(leaf(bad, 0).as_bytes()).is_err(), "{bad}");
    }
}

#[test]
fn what_is_no_leaf_is_refused() {
    let good = leaf("/a", 1);
    for (from, to) in [
        ("sb-doc/v1", "sb-doc/v2"),
        ("0123456789abcdef", "0123456789ABCDEF"),
        ("0123456789abcdef", "0123456789abcde"),
        (r#""size":1"#, r#""size":-1"#),
        (r#""size":1"#, r#""size":01"#),
        (r#","v""#, r#","u":1,"v""#),
        (r#","v""#, r#", "v""#),
        (r#""id":"5f","#, ""),
    ] {
        assert!(Document::parse(good.replace(from, to).as_bytes()).is_err(), "{from} -> {to}");
    }
    assert!(Document::parse(&vec![b' '; 100_000]).is_err());
}

#[test]
fn what_is_no_proof_is_refused() {
    let proof = DocumentProof { index: 1, path: vec![leaf_hash(b""); 64] };
    let good = proof.to_string();
    assert_eq!(DocumentProof::parse(good.as_bytes()), Ok(proof));
    let hash = good.lines().nth(2).unwrap();
    for bad in [
        String::new(),
        good.replace("@v1", "@v2"),
        good.replace("index 1", "index 01"),
        good.replace("index 1", "1"),
        good.replacen(hash, "AAAA", 1),
        format!("{good}{hash}\n"),
        format!("{good}\n"),
        good.trim_end().to_owned(),
    ] {
        assert!(DocumentProof::parse(bad.as_bytes()).is_err(), "{bad}");
    }
}
