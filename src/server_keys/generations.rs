//! Which store goes with the key folder.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{ServerKeysError, write_durably};

/// File with the number of the newest start.
pub(super) const FILE: &str = "generation";

/// Tells a store that was put back from a backup from the one that the service left.
///
/// Every start counts one generation further, in the store and in the key folder. The key folder is written
/// before (*starting*) and after (*started*) the store, so that a crash in between is told apart too.
#[derive(Debug)]
pub(crate) struct Generations {
    path: PathBuf,
    state: Option<(u64, bool)>,
}

impl Generations {
    /// Reads what the key folder says.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or is not one that this program writes.
    pub(crate) fn read(folder: &Path) -> Result<Self, ServerKeysError> {
        let path = folder.join(FILE);
        if !path.exists() {
            return Ok(Self { path, state: None });
        }
        let text =
            fs::read_to_string(&path).map_err(|source| ServerKeysError::Io { path: path.clone(), source })?;
        let state = match text.trim().split_once(' ') {
            Some((number, "starting")) => number.parse().ok().map(|number| (number, false)),
            Some((number, "started")) => number.parse().ok().map(|number| (number, true)),
            _ => None,
        };
        match state {
            Some(state) => Ok(Self { path, state: Some(state) }),
            None => Err(ServerKeysError::Malformed { path }),
        }
    }

    /// Begins the next generation over a store that says it was left in generation `stored`.
    ///
    /// # Errors
    ///
    /// [`ServerKeysError::RestoredStore`] when the store is not the one that was left.
    pub(crate) fn begin(&mut self, stored: Option<u64>) -> Result<u64, ServerKeysError> {
        let stored = stored.unwrap_or(0);
        if !self.are_left_as_is(stored) {
            return Err(ServerKeysError::RestoredStore { expected: self.number(), stored });
        }
        // A start that crashed before it told the store has signed nothing: its number is used again.
        let next = stored + 1;
        self.write(next, "starting")?;
        Ok(next)
    }

    /// Takes a store that was put back for the one to go on from, which only a block signer with a new serial
    /// may do. Gives the generation to tell the store, then [`Generations::begun`]: a new one for both, so that
    /// neither this store nor any other that was ever left is taken for the one that goes on. `None` when the
    /// store is the one that was left.
    ///
    /// # Errors
    ///
    /// The key folder cannot be written.
    pub(crate) fn adopt(&mut self, stored: Option<u64>) -> Result<Option<u64>, ServerKeysError> {
        let stored = stored.unwrap_or(0);
        if self.are_left_as_is(stored) {
            return Ok(None);
        }
        let next = stored.max(self.number()) + 1;
        self.write(next, "starting")?;
        Ok(Some(next))
    }

    fn are_left_as_is(&self, stored: u64) -> bool {
        match self.state {
            None => stored == 0,
            Some((number, true)) => stored == number,
            Some((number, false)) => stored == number || stored + 1 == number,
        }
    }

    fn number(&self) -> u64 {
        self.state.map_or(0, |(number, _)| number)
    }

    /// The store has been told.
    ///
    /// # Errors
    ///
    /// The key folder cannot be written.
    pub(crate) fn begun(&mut self, generation: u64) -> Result<(), ServerKeysError> {
        self.write(generation, "started")
    }

    fn write(&self, generation: u64, word: &str) -> Result<(), ServerKeysError> {
        write_durably(&self.path, &format!("{generation} {word}\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crash_between_the_two_writes_is_no_restored_backup() {
        let folder = tempfile::tempdir().unwrap();
        let read = || Generations::read(folder.path()).unwrap();
        // Crashed before the store was told, again and again.
        for _ in 0..3 {
            assert_eq!(read().begin(None).unwrap(), 1);
        }
        // Crashed after the store was told.
        assert_eq!(read().begin(Some(1)).unwrap(), 2);
        for _ in 0..3 {
            assert_eq!(read().begin(Some(2)).unwrap(), 3);
        }
        let mut generations = read();
        assert_eq!(generations.begin(Some(3)).unwrap(), 4);
        generations.begun(4).unwrap();
        assert!(matches!(
            read().begin(Some(3)),
            Err(ServerKeysError::RestoredStore { expected: 4, stored: 3 })
        ));
        assert!(matches!(read().begin(None), Err(ServerKeysError::RestoredStore { .. })));
        assert_eq!(read().begin(Some(4)).unwrap(), 5);
        // Not even the store of the start before one that crashed before it told the store.
        assert!(matches!(read().begin(Some(3)), Err(ServerKeysError::RestoredStore { .. })));
    }

    #[test]
    fn an_adopted_store_is_told_from_every_other() {
        let folder = tempfile::tempdir().unwrap();
        let read = || Generations::read(folder.path()).unwrap();
        for expected in 1..=5 {
            let mut generations = read();
            generations.begin(Some(expected - 1)).unwrap();
            generations.begun(expected).unwrap();
        }
        assert_eq!(read().adopt(Some(5)).unwrap(), None, "nothing was put back");
        // Crashed before the store was told, and done again.
        for expected in [6, 7] {
            assert_eq!(read().adopt(Some(3)).unwrap(), Some(expected));
            assert!(matches!(read().begin(Some(3)), Err(ServerKeysError::RestoredStore { .. })));
        }
        let mut generations = read();
        generations.begun(7).unwrap();
        for other in 0..=5 {
            assert!(matches!(read().begin(Some(other)), Err(ServerKeysError::RestoredStore { .. })));
        }
        assert_eq!(read().begin(Some(7)).unwrap(), 8);
        assert_eq!(read().adopt(Some(20)).unwrap(), Some(21), "a store that is ahead");
    }
}
