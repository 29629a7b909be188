//! The page for people.

use sb_audit::*;

use super::authority::stamp;
use super::vault::{Scene, leaf, scene};

fn page(scene: &Scene) -> String {
    String::from_utf8(scene.files()["README.html"].clone()).unwrap()
}

#[test]
fn the_page_says_what_is_proven_and_what_is_not() {
    let bare = page(&scene());
    for said in [
        "PASSED",
        "snapshot:s_7",
        "2026-01-15T09:07:40Z",
        "Proves what was stored, not that it is true.",
        "sh verify.sh FINGERPRINT",
        "Nobody outside has witnessed this",
    ] {
        assert!(bare.contains(said), "{said}");
    }
    assert!(!bare.contains("chain/officer") && !bare.contains("stamps/") && !bare.contains("document.json"));
    // The fingerprint has to come from elsewhere.
    assert!(!bare.contains(&super::fingerprint().to_string()));

    let full = page(&Scene::with_everything());
    for said in [
        "w.example/2, at 2026-01-15T09:08:20Z",
        "CN=Test authority",
        "/clients/3.pdf",
        "1 more of the vault",
        "chain/officer-N.sbv1",
        "document.proof",
    ] {
        assert!(full.contains(said), "{said}");
    }
    assert!(!full.contains("Nobody outside"));
}

#[test]
fn every_file_of_a_folder_is_explained() {
    let scene = Scene::with_everything();
    let page = page(&scene);
    for name in scene.files().keys() {
        let name = name.replace("officer-1", "officer-N").replace("stamps/1", "stamps/N");
        assert!(page.contains(&format!("<th scope=\"row\">{name}</th>")), "{name}");
    }
}

#[test]
fn what_others_wrote_is_text_on_the_page() {
    let limits = vec!["<script>alert('x')</script> & \"more\"".to_owned()];
    let documents = vec![leaf("/<b>%25%FF", b"")];
    let page = page(&Scene { limits, documents, shown: Some(0), ..scene() });
    assert!(page.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; &quot;more&quot;"));
    assert!(page.contains("/&lt;b&gt;%25%FF"));
    assert!(!page.contains("<script") && !page.contains("<b>"));
}

#[test]
fn the_page_needs_nothing_else_and_promises_nothing_else() {
    let scene = Scene { problems: 1, stamps: vec![], ..Scene::with_everything() };
    let stamps = vec![stamp(&scene.statement().to_bytes().unwrap())];
    let page = page(&Scene { stamps, ..scene });
    for absent in ["http:", "https:", "src=", "href=", "onload", "compliant", "tamper", "FIPS"] {
        assert!(!page.contains(absent), "{absent}");
    }
    for (open, close) in
        [("<table>", "</table>"), ("<tr>", "</tr>"), ("<ul>", "</ul>"), ("<li>", "</li>"), ("<p>", "</p>")]
    {
        assert_eq!(page.matches(open).count(), page.matches(close).count(), "{open}");
    }
    assert!(page.starts_with("<!DOCTYPE html>\n<html lang=\"en\">") && page.contains("PARTIAL"));
    assert_eq!(VERIFY_SH.as_bytes(), super::scene().files()["verify.sh"]);
}
