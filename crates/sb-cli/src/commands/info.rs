//! `sb info`.

use clap::Args;
use sb_core::crypto::{HashAlgorithm, RecipientAlgorithm};
use sb_core::{InfoReport, Size};
use serde_json::json;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;
use crate::text::{local, number, table};

/// What has to be said wherever approved algorithms are spoken of.
pub(crate) const NOT_VALIDATED: &str = "This program is no validated cryptographic module; docs/approved-algorithms.md says what is claimed and what is not";

/// Show what a vault is and holds
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  sb info
  sb info --public      as far as anybody can see, with no key")]
pub(crate) struct InfoArgs {
    /// With no key
    #[arg(long)]
    public: bool,
}

pub(crate) fn run(args: &InfoArgs, context: &Context) -> Result<Exit, Failure> {
    let info =
        if args.public { context.vault()?.info_public(context.fingerprint()?)? } else { context.open()?.info()? };
    let output = &context.output;
    context.warn_of_keys(&info.keys);
    output.result(text(&info).trim_end())?;
    event(output, &info)?;
    let flawed = info.opened.as_ref().map_or(0, |opened| opened.flawed_snapshots);
    Ok(if flawed == 0 { Exit::Done } else { Exit::Damaged })
}

fn text(info: &InfoReport) -> String {
    let mut facts = vec![
        ("vault", info.vault.to_string()),
        ("at", info.location.to_string()),
        ("root fingerprint", info.root_fingerprint.to_string()),
    ];
    let keys = &info.keys;
    let rotating = if keys.is_rotating { "; a rotation is not finished" } else { "" };
    let (began, due) = (local(keys.epoch.began), local(keys.due));
    facts
        .push(("keys", format!("epoch {}, in use since {began}, to be rotated by {due}{rotating}", keys.epoch.number)));
    let (hash, recipient) = algorithms(info);
    if info.approved_only {
        facts.push(("algorithms", format!("approved ones only: {hash}, {recipient}, AES-256-GCM, Ed25519, PBKDF2")));
        facts.push(("", format!("{NOT_VALIDATED}.")));
    } else {
        facts.push(("algorithms", format!("{hash}, {recipient}, AES-256-GCM, Ed25519")));
    }
    if let Some(space) = info.space {
        facts.push(("free space", format!("{} of {}", Size(space.free), Size(space.total))));
    }
    if let Some(opened) = &info.opened {
        let role = if opened.is_administrator { ", owner" } else { "" };
        facts.push(("opened by", format!("{} ({}), user {}{role}", opened.method, opened.slot, opened.user)));
        let latest = opened.latest.map(|time| format!(", the latest of {}", local(time))).unwrap_or_default();
        facts.push(("snapshots", format!("{}{latest}", opened.snapshots)));
        if opened.flawed_snapshots > 0 {
            facts.push(("damaged", format!("{} that should be snapshots", opened.flawed_snapshots)));
        }
    }
    let facts: Vec<Vec<String>> = facts.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
    let mut rows = vec![["recorded in journals", "objects", "size"].map(str::to_owned).to_vec()];
    rows.extend(info.usage.iter().map(|u| vec![u.folder.clone(), number(u.objects), Size(u.bytes).to_string()]));
    let (objects, bytes) = info.usage.iter().fold((0, 0), |(n, bytes), u| (n + u.objects, bytes + u.bytes));
    rows.push(vec!["all".to_owned(), number(objects), Size(bytes).to_string()]);
    format!("{}\n{}", table(&facts, &[]), table(&rows, &[1, 2]))
}

/// What differs from vault to vault.
fn algorithms(info: &InfoReport) -> (&'static str, &'static str) {
    let hash = match info.hash {
        HashAlgorithm::Blake3 => "BLAKE3",
        HashAlgorithm::HmacSha256 => "HMAC-SHA-256",
    };
    let recipient = match info.recipient {
        RecipientAlgorithm::HpkeX25519 => "HPKE with X25519",
        RecipientAlgorithm::HpkeP256 => "HPKE with P-256",
        RecipientAlgorithm::Rsa4096 => "RSA-4096-OAEP",
    };
    (hash, recipient)
}

fn event(output: &Output, info: &InfoReport) -> Result<(), Failure> {
    let usage = info.usage.iter().map(|u| json!({ "folder": u.folder, "objects": u.objects, "bytes": u.bytes }));
    let opened = info.opened.as_ref();
    Ok(output.event(
        "summary",
        json!({
            "vault": info.location.to_string(),
            "vault_id": info.vault.to_string(),
            "root_fingerprint": info.root_fingerprint.to_string(),
            "hash": algorithms(info).0,
            "recipient": algorithms(info).1,
            "approved_algorithms": info.approved_only,
            "free_bytes": info.space.map(|space| space.free),
            "total_bytes": info.space.map(|space| space.total),
            "usage": usage.collect::<Vec<_>>(),
            "key_epoch": info.keys.epoch.number,
            "keys_since": info.keys.epoch.began.to_rfc3339(),
            "keys_due": info.keys.due.to_rfc3339(),
            "keys_overdue": info.keys.is_overdue,
            "rotating": info.keys.is_rotating,
            "method": opened.map(|opened| opened.method),
            "slot": opened.map(|opened| opened.slot.clone()),
            "user": opened.map(|opened| opened.user.to_string()),
            "administrator": opened.map(|opened| opened.is_administrator),
            "snapshots": opened.map(|opened| opened.snapshots),
            "damaged_snapshots": opened.map(|opened| opened.flawed_snapshots),
            "latest": opened.and_then(|opened| opened.latest).map(|time| time.to_rfc3339()),
        }),
    )?)
}
