//! Where a machine remembers things of its vaults.

use std::ffi::OsString;
use std::path::PathBuf;

/// Where the value of an environment variable comes from; a program gives `&|name| std::env::var_os(name)`.
pub type Variables<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// The folder for local state: `SB_STATE_DIR`, else `securebackup` in `XDG_STATE_HOME`, else `.local/state/securebackup` in
/// `HOME` (XDG Base Directory Specification 0.8), else, on Windows, `securebackup` in `LOCALAPPDATA`. `None` if no such variable is set.
///
/// ```
/// use std::path::PathBuf;
/// let home = |name: &str| (name == "HOME").then(|| "/home/ann".into());
/// assert_eq!(sb_core::state_root(&home), Some(PathBuf::from("/home/ann/.local/state/securebackup")));
/// ```
pub fn state_root(variables: Variables<'_>) -> Option<PathBuf> {
    let set = |name| variables(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("SB_STATE_DIR")
        // The specification says that relative values are to be ignored.
        .or_else(|| Some(set("XDG_STATE_HOME").filter(|path| path.is_absolute())?.join("securebackup")))
        .or_else(|| Some(set("HOME")?.join(".local/state/securebackup")))
        .or_else(|| Some(set("LOCALAPPDATA")?.join("securebackup")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(variables: &[(&str, &str)]) -> Option<String> {
        let find = |name: &str| Some(variables.iter().find(|(known, _)| *known == name)?.1.into());
        state_root(&find).map(|path| path.display().to_string())
    }

    #[test]
    fn the_first_variable_that_is_set_decides() {
        let all = [("SB_STATE_DIR", "/s"), ("XDG_STATE_HOME", "/x"), ("HOME", "/h"), ("LOCALAPPDATA", "/l")];
        for (from, expected) in
            [(0, "/s"), (1, "/x/securebackup"), (2, "/h/.local/state/securebackup"), (3, "/l/securebackup")]
        {
            assert_eq!(root(&all[from..]).as_deref(), Some(expected));
        }
        assert_eq!(root(&[]), None);
        let odd = [("SB_STATE_DIR", ""), ("XDG_STATE_HOME", "relative"), ("HOME", "/h")];
        assert_eq!(root(&odd).as_deref(), Some("/h/.local/state/securebackup"));
    }
}
