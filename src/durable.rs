//! Files and folders that a crash leaves as they were, or as they shall be.

use std::{
    fs::{self, File},
    io::{self, ErrorKind, Write},
    path::Path,
};

use crate::key_file;

/// Replaces a file as a whole. Durable when this returns.
///
/// # Errors
///
/// It cannot be written. The file is as it was, or as it shall be.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let beside = path.with_added_extension("new");
    let mut file = File::create(&beside)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    key_file::sync_parent(path)
}

/// Makes a folder with its parents. Durable when this returns.
///
/// # Errors
///
/// It cannot be made.
pub(crate) fn create_folder(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        create_folder(parent)?;
    }
    match fs::create_dir(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        Ok(()) | Err(_) => key_file::sync_parent(path),
    }
}
