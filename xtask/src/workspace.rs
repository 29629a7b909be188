//! What cargo knows of the workspace.

use std::path::PathBuf;

use serde_json::Value;

use crate::failure::Failure;
use crate::program;

/// The workspace the task was started in.
#[derive(Debug)]
pub(crate) struct Workspace {
    /// Its top folder.
    pub(crate) root: PathBuf,
    /// The one target folder.
    pub(crate) target: PathBuf,
    /// Its crates, by name.
    pub(crate) crates: Vec<Crate>,
}

/// One crate of the workspace.
#[derive(Debug)]
pub(crate) struct Crate {
    pub(crate) name: String,
    /// Cargo's id of it.
    pub(crate) id: String,
    pub(crate) folder: PathBuf,
    /// Whether it has a library, and so may have examples in its documentation.
    pub(crate) has_library: bool,
}

impl Workspace {
    /// Asks cargo about the workspace around the current folder.
    pub(crate) fn load() -> Result<Self, Failure> {
        let metadata = metadata(&["--no-deps"])?;
        let crates = elements(&metadata["packages"]).map(crate_of).collect();
        Ok(Self { root: path(&metadata["workspace_root"]), target: path(&metadata["target_directory"]), crates })
    }

    /// The crates that are the product: those in `crates/`, as against benchmarks and tasks.
    pub(crate) fn product(&self) -> impl Iterator<Item = &Crate> {
        let folder = self.root.join("crates");
        self.crates.iter().filter(move |member| member.folder.starts_with(&folder))
    }
}

/// What `cargo metadata` says, with further `arguments`.
pub(crate) fn metadata(arguments: &[&str]) -> Result<Value, Failure> {
    let text = program::output(program::cargo().args(["metadata", "--format-version=1"]).args(arguments))?;
    serde_json::from_str(&text).map_err(|source| Failure::Json { program: "cargo metadata", source })
}

/// The elements of a JSON array; none if it isn't one.
pub(crate) fn elements(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// A JSON string; empty if it isn't one.
pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn path(value: &Value) -> PathBuf {
    PathBuf::from(text(value))
}

fn crate_of(package: &Value) -> Crate {
    let mut folder = path(&package["manifest_path"]);
    folder.pop();
    let has_library = elements(&package["targets"]).any(|target| elements(&target["kind"]).any(|kind| kind == "lib"));
    Crate { name: text(&package["name"]).to_owned(), id: text(&package["id"]).to_owned(), folder, has_library }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_workspace_is_read() {
        let workspace = Workspace::load().unwrap();
        assert!(workspace.root.join("Cargo.toml").is_file());
        assert!(workspace.target.is_absolute());
        assert!(workspace.product().all(|member| member.name.starts_with("sb-")));
        let task = workspace.crates.iter().find(|member| member.name == "xtask").unwrap();
        assert!(!task.has_library);
        assert!(workspace.product().any(|member| member.has_library));
    }
}
