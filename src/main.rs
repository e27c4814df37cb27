//! The `cadastre` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    cadastre::cli::main()
}
