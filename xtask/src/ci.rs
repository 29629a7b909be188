//! `cargo xtask ci`: the same steps as the build server, which are listed once, in `.ci/run`.

use std::process::Command;

use crate::failure::Failure;
use crate::options::Options;
use crate::program;
use crate::workspace::Workspace;

pub(crate) fn run(options: Options) -> Result<(), Failure> {
    options.finish()?;
    let workspace = Workspace::load()?;
    program::run(Command::new(workspace.root.join(".ci/run")).current_dir(&workspace.root))
}
