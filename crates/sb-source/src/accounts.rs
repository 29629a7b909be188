//! Names of users and groups.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use crate::Metadata;

/// The names in `/etc/passwd` and `/etc/group`, read once.
#[derive(Debug)]
pub(crate) struct Accounts {
    users: HashMap<u32, Vec<u8>>,
    groups: HashMap<u32, Vec<u8>>,
}

impl Accounts {
    /// A file that cannot be read gives no names.
    pub(crate) fn read(folder: &Path) -> Self {
        let names = |file| fs::read(folder.join(file)).map(|table| parse(&table)).unwrap_or_default();
        Self { users: names("passwd"), groups: names("group") }
    }

    pub(crate) fn name(&self, metadata: &mut Metadata) {
        metadata.user = self.users.get(&metadata.uid).cloned();
        metadata.group = self.groups.get(&metadata.gid).cloned();
    }
}

/// Both files have the name in the first and the number in the third field (passwd(5), group(5)); of several names
/// for a number the first counts.
fn parse(table: &[u8]) -> HashMap<u32, Vec<u8>> {
    let mut names = HashMap::new();
    for line in table.split(|&byte| byte == b'\n') {
        let mut fields = line.split(|&byte| byte == b':');
        let (Some(name), Some(number)) = (fields.next(), fields.nth(1)) else { continue };
        if let Some(number) = std::str::from_utf8(number).ok().and_then(|number| number.parse().ok()) {
            names.entry(number).or_insert_with(|| name.to_vec());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_name_of_a_number_counts() {
        let folder = tempfile::tempdir().unwrap();
        let passwd =
            "root:x:0:0:root:/root:/bin/sh\ntoor:x:0:0::/:\n\nbroken\nodd:x:minus:1::/:\nm\u{fc}ller:x:1000:7::/:\n";
        fs::write(folder.path().join("passwd"), passwd).unwrap();
        let accounts = Accounts::read(folder.path());
        let named = |uid| {
            let mut metadata = Metadata { uid, ..Metadata::default() };
            accounts.name(&mut metadata);
            assert_eq!(metadata.group, None, "there is no file of groups");
            metadata.user
        };
        assert_eq!(named(0), Some(b"root".to_vec()));
        assert_eq!(named(1000), Some("müller".into()));
        assert_eq!(named(1), None);
    }
}
