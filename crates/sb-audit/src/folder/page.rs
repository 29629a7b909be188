//! The page of a folder, in plain words: a pure function of what the folder proves. One file, no scripts, for screen,
//! paper and screen readers.

use std::fmt::Write as _;

use super::verify::{ProvenFolder, Stamped};
use crate::chain::hex;
use crate::predicate::{Backup, Predicate, Verification};
use crate::time::seconds;

const STYLE: &str = "body{font:1em/1.5 system-ui,sans-serif;max-width:46em;margin:2em auto;padding:0 1em}\
table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;padding:.3em .6em;\
border-bottom:1px solid #999}th{width:32%}td,code{overflow-wrap:anywhere}pre{padding:.8em;border:1px solid #999;\
white-space:pre-wrap}@media print{body{margin:0;max-width:none;font-size:10pt}table,pre,li{break-inside:avoid}}";

/// The page.
pub(super) fn page(proven: &ProvenFolder) -> String {
    let run = proven.evidence.statement.run();
    let title = format!("Evidence: certificate {}", run.certificate_id);
    let sections =
        [introduction(proven), facts(proven), proofs(proven), limits(proven), checking(proven), contents(proven)];
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
        <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{}</title>\n\
        <style>{STYLE}</style>\n</head>\n<body>\n<main>\n{}</main>\n</body>\n</html>\n",
        escape(&title),
        sections.concat()
    )
}

/// Text as HTML. Characters that are not seen, or change the direction of others, show as U+FFFD.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => escaped.push('\u{fffd}'),
            other if other.is_control() => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

/// A path as its leaf writes it: what is no UTF-8, and `%`, percent-encoded.
fn path_text(path: &[u8]) -> String {
    let mut text = String::new();
    for chunk in path.utf8_chunks() {
        text.push_str(&chunk.valid().replace('%', "%25"));
        for byte in chunk.invalid() {
            write!(text, "%{byte:02X}").expect("a string takes what is written");
        }
    }
    text
}

fn table(caption: &str, rows: &[(&str, String)]) -> String {
    let row = |(name, value): &(&str, String)| {
        format!("<tr><th scope=\"row\">{}</th><td>{}</td></tr>\n", escape(name), escape(value))
    };
    format!("<table>\n<caption>{caption}</caption>\n{}</table>\n", rows.iter().map(row).collect::<String>())
}

fn list<'a>(items: impl IntoIterator<Item = &'a str>) -> String {
    let item = |item| format!("<li>{}</li>\n", escape(item));
    format!("<ul>\n{}</ul>\n", items.into_iter().map(item).collect::<String>())
}

fn introduction(proven: &ProvenFolder) -> String {
    let what = match &proven.evidence.statement.predicate {
        Predicate::Backup(_) => "that a backup was made and read back",
        Predicate::Verification(_) => "that a backup was checked",
    };
    format!(
        "<h1>Evidence of a backup</h1>\n<p>This folder holds a certificate that says {what}, and what is needed to find \
        out whether to believe it. It can be checked by anybody, on any computer with a shell and <code>openssl</code>: \
        without a network, without a secret, and without a program of those who made the backup. This page itself is no \
        proof; the check below is.</p>\n"
    )
}

fn facts(proven: &ProvenFolder) -> String {
    let evidence = &proven.evidence;
    let run = evidence.statement.run();
    let mut rows = vec![("Result", run.result.as_str().to_owned())];
    for subject in &evidence.statement.subjects {
        rows.push(("Is about", subject.name.clone()));
        rows.push(("SHA-256 of that", subject.sha256.to_string()));
    }
    rows.push(("Began, by the machine's clock", seconds(&run.started)));
    rows.push(("Ended, by the machine's clock", seconds(&run.finished)));
    match &evidence.statement.predicate {
        Predicate::Backup(backup) => rows.extend(backup_rows(backup)),
        Predicate::Verification(verification) => rows.extend(verification_rows(verification)),
    }
    rows.extend([
        ("Issued by", run.issuer.clone()),
        ("Certificate", run.certificate_id.clone()),
        ("Program", format!("{} {}", run.tool.name, run.tool.version)),
        ("What sets the clock", run.clock.source.clone()),
        ("Vault", hex(proven.chain.vault())),
        ("Log of the machine", proven.chain.log().name().to_owned()),
        ("Entry in the log", format!("{} of {}", evidence.entry.seq, evidence.logged.checkpoint.head().size)),
        ("Signed by", format!("the machine and {} more of the vault's users", proven.officers.len())),
    ]);
    for seen in &evidence.logged.cosignatures {
        rows.push((
            "Seen by the witness",
            format!("{}, at {} by its own clock", seen.witness.name(), seconds(&seen.time)),
        ));
    }
    for stamp in &proven.stamps {
        let what = match stamp.stamped {
            Stamped::Checkpoint => "checkpoint",
            Stamped::Statement => "statement",
        };
        let text = format!("{}, the {what}, at {}", stamp.stamp.authority, seconds(&stamp.stamp.time));
        rows.push(("Stamped by the authority", text));
    }
    if let Some(document) = &proven.document {
        rows.push(("Document", path_text(&document.path)));
        rows.push(("Size of the document", format!("{} bytes", document.size)));
        rows.push(("SHA-256 of the document", document.sha256.to_string()));
    }
    format!("<h2>What the certificate says</h2>\n{}", table("The facts, as they were signed", &rows))
}

fn backup_rows(backup: &Backup) -> Vec<(&'static str, String)> {
    let (counts, written, referenced) = (&backup.counts, &backup.written, &backup.referenced);
    let read = match &referenced.read_in_full {
        Some(time) => format!("each read in full at least once since {}", seconds(time)),
        None => "not all of them read in full since they were written".to_owned(),
    };
    vec![
        ("Documents", format!("{}, {} bytes", counts.documents, counts.bytes)),
        ("Sources that could not be read", counts.problems.to_string()),
        ("Written and read back", format!("{} objects, {} bytes", written.objects, written.bytes)),
        ("Stored before", format!("{} objects, {} bytes; {read}", referenced.objects, referenced.bytes)),
    ]
}

fn verification_rows(verification: &Verification) -> Vec<(&'static str, String)> {
    let counts = &verification.counts;
    vec![
        ("How it was checked", verification.method.clone()),
        ("Documents", format!("{}, {} bytes", counts.documents, counts.bytes)),
        ("Checked and good", counts.verified.to_string()),
        ("Missing", counts.missing.to_string()),
        ("Damaged", counts.corrupt.to_string()),
    ]
}

fn proofs(proven: &ProvenFolder) -> String {
    let mut items = vec![
        "The certificate was signed by the machine whose key the owner of the vault vouches for, and not one byte of it \
        has changed since.",
        "The machine has written into its audit log that it issued this certificate, and has signed the state of the log \
        with that entry in it.",
    ];
    if !proven.officers.is_empty() {
        items.push("Further users of the vault have signed the same certificate.");
    }
    if proven.evidence.is_witnessed() {
        items.push("A witness outside has seen this state of the log and will sign no other that contradicts it.");
    }
    if !proven.stamps.is_empty() {
        items.push("An authority for time stamps has confirmed when this existed at the latest.");
    }
    if proven.document.is_some() {
        items.push(
            "The document named above, with that size and that SHA-256, is one of those in the backup; nothing is \
            shown of any other.",
        );
    }
    format!("<h2>What this folder proves</h2>\n{}", list(items))
}

fn limits(proven: &ProvenFolder) -> String {
    let run = proven.evidence.statement.run();
    let mut items: Vec<&str> = run.limits.iter().map(String::as_str).collect();
    if !proven.is_witnessed() {
        items.push(
            "Nobody outside has witnessed this: whoever holds the keys could have made all of it later, with any date.",
        );
    }
    if proven.evidence.is_witnessed() {
        items.push(
            "The keys of the witnesses are named by this folder alone: compare them with what the witnesses publish.",
        );
    }
    if !proven.stamps.is_empty() {
        items.push("The root certificates of the time stamps come with this folder: compare them with what the authorities publish.");
    }
    items.push(
        "SHA256SUMS protects against accidents only. Whoever changes a file on purpose can change the list too; the \
        signatures are what can't be made anew.",
    );
    format!("<h2>What it does not prove</h2>\n{}", list(items))
}

fn checking(proven: &ProvenFolder) -> String {
    let document = if proven.document.is_some() {
        "<p>If you have the document, restored from the backup, add <code>--document FILE</code>: the script compares it \
        with what the certificate vouches for.</p>\n"
    } else {
        ""
    };
    format!(
        "<h2>How to check it</h2>\n<p>In a terminal, with the name of this folder and the fingerprint in place of the \
        capitals:</p>\n<pre>cd FOLDER\nopenssl version\nsh verify.sh FINGERPRINT</pre>\n<p>The version must be OpenSSL 3.0 \
        or later. The fingerprint of the vault’s root key was printed when the vault was made; ask its owner for it, or \
        better, have it from the last audit. It is not on this page on purpose: it has to come from elsewhere than this \
        folder, because whoever makes a folder with keys of his own can print any fingerprint on any page.</p>\n<p>For the \
        same reason, whoever wants to be sure takes <code>verify.sh</code> from elsewhere too: from an earlier audit, from \
        the program’s publisher, or written anew from its description. It is short and meant to be read.</p>\n<p>It prints \
        a line for each thing it has checked. The last line begins with OK, or the first thing that is wrong with FAILED. \
        With <code>--witness KEY</code> it demands that a witness you know has signed, with <code>--tsa-ca FILE</code> a \
        time stamp that a root certificate you know vouches for.</p>\n{document}"
    )
}

fn contents(proven: &ProvenFolder) -> String {
    let mut rows = vec![
        ("README.html", "This page."),
        ("SHA256SUMS", "The SHA-256 of every other file, against accidents."),
        ("certificate.dsse.json", "The certificate: the statement with its signatures (DSSE)."),
        (
            "certificate.tlog-proof",
            "The entry in the log, the way from it up to the signed state of the log, and the signatures of witnesses (C2SP tlog-proof).",
        ),
        ("chain/user.sbv1", "The root key vouches for a user."),
        ("chain/writer.sbv1", "That user vouches for the machine."),
        ("root.pub.pem", "The public root key of the vault. Its fingerprint is what you compare."),
        ("statement.json", "What was signed, to be read (in-toto Statement)."),
        ("verify.sh", "The script that checks all of it."),
        ("witnesses.policy", "The keys of log and witnesses (C2SP tlog-policy)."),
    ];
    if !proven.officers.is_empty() {
        rows.push(("chain/officer-N.sbv1", "The root key vouches for a user who has signed too."));
    }
    if !proven.stamps.is_empty() {
        rows.push(("stamps/N.tsr", "A time stamp (RFC 3161)."));
        rows.push(("stamps/N.ca.pem", "The root certificate that vouches for it."));
    }
    if proven.document.is_some() {
        rows.push(("document.json", "Name, size and SHA-256 of the document that this folder shows."));
        rows.push(("document.proof", "Its place among the documents of the backup."));
    }
    let rows: Vec<_> = rows.into_iter().map(|(name, text)| (name, text.to_owned())).collect();
    format!("<h2>The files</h2>\n{}", table("What each file is", &rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_can_not_become_markup() {
        assert_eq!(
            escape("<b a='\"'>&\u{202e}\n\u{9b}é"),
            "&lt;b a=&#39;&quot;&#39;&gt;&amp;\u{fffd}\u{fffd}\u{fffd}é"
        );
        assert_eq!(path_text(b"/a%\xff\xc3\xa9"), "/a%25%FFé");
    }
}
