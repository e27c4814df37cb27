#![allow(clippy::unwrap_used, reason = "only in tests")]

use std::fs;

use cadastre_protocol::{
    BlockHash, Certificate, Height, KeyRole, Millis,
    log::{TileLevel, growth_is_proved, leaf_hash, tree_root},
    merkle,
};
use tempfile::TempDir;

use super::*;

#[test]
fn a_log_goes_on_over_restarts_and_every_checkpoint_grows_from_those_before() {
    let place = Place::new();
    let mut seen = Vec::new();
    let mut number = 0;
    for count in [0, 1, 3, 250, 2, 1, 0, 300, 513, 7] {
        let (log, mut appender) = place.open().unwrap();
        let entries: Vec<_> = (number..number + count).map(entry).collect();
        number += count;
        appender.append(&log, &entries).unwrap();
        assert_eq!(log.checkpoint().get().size, number - count, "nothing is shown before it is published");
        appender.publish(&log).unwrap();
        seen.push(log.checkpoint().get().clone());
        let size = log.checkpoint().get().size;
        assert_eq!(size, number);
        for old in &seen {
            let proof = log.consistency(old.size, size).unwrap();
            assert!(growth_is_proved((old.size, old.root), (size, seen[seen.len() - 1].root), &proof));
        }
        assert_eq!(seen[seen.len() - 1].root, by_hand(number), "{number} entries");
        for index in [0, number / 2, number.saturating_sub(1)] {
            let proof = log.prove(entry(index).match_id).unwrap();
            let proved = proof.map(|proof| proof.verify(&root().enrolled(), Millis::new(5)).unwrap());
            assert_eq!(
                proved.map(|head| (head.index(), *head.entry())),
                (index < number).then(|| (index, entry(index)))
            );
        }
        assert_tiles_hold(&place, &log);
    }
}

#[test]
fn a_head_that_did_not_move_is_not_logged_again() {
    let place = Place::new();
    let (log, mut appender) = place.open().unwrap();
    appender.append(&log, &[entry(1), entry(2)]).unwrap();
    appender.append(&log, &[entry(2), entry(1)]).unwrap();
    appender.publish(&log).unwrap();
    drop((log, appender));
    let (log, mut appender) = place.open().unwrap();
    appender.append(&log, &[entry(1)]).unwrap();
    let further = LogEntry { height: Height::new(77), ..entry(1) };
    appender.append(&log, &[further]).unwrap();
    appender.publish(&log).unwrap();
    assert_eq!(log.checkpoint().get().size, 3);
    let proof = log.prove(further.match_id).unwrap().unwrap();
    assert_eq!((proof.index, proof.claim().unwrap().entry), (2, further));
}

#[test]
fn a_crash_before_signing_leaves_nothing_that_is_ever_shown() {
    for unsigned in [3, 200, 300, 700] {
        let place = Place::new();
        let (log, mut appender) = place.open().unwrap();
        appender.append(&log, &(0..5).map(entry).collect::<Vec<_>>()).unwrap();
        appender.publish(&log).unwrap();
        let signed = fs::read(place.signed()).unwrap();
        appender.append(&log, &(100..100 + unsigned).map(entry).collect::<Vec<_>>()).unwrap();
        drop((log, appender));
        // As if it had died after the tiles and before the checkpoint.
        fs::write(place.signed(), signed).unwrap();
        let (log, mut appender) = place.open().unwrap();
        assert_eq!(log.checkpoint().get().root, by_hand(5));
        assert_tiles_hold(&place, &log);
        for next in [5..9, 9..250, 250..600] {
            let size = next.end;
            appender.append(&log, &next.map(entry).collect::<Vec<_>>()).unwrap();
            appender.publish(&log).unwrap();
            assert_eq!(log.checkpoint().get().root, by_hand(size));
            assert_tiles_hold(&place, &log);
        }
    }
}

#[test]
fn a_crash_before_publishing_publishes_what_was_signed() {
    let place = Place::new();
    let (log, mut appender) = place.open().unwrap();
    appender.append(&log, &[entry(0), entry(1)]).unwrap();
    drop((log, appender));
    let (log, _) = place.open().unwrap();
    assert_eq!((log.checkpoint().get().size, log.checkpoint().get().root), (2, by_hand(2)));
    assert!(log.prove(entry(1).match_id).unwrap().is_some());
}

#[test]
fn a_log_put_back_from_a_backup_is_refused() {
    let place = Place::new();
    let grow = |numbers: std::ops::Range<u64>| {
        let (log, mut appender) = place.open().unwrap();
        appender.append(&log, &numbers.map(entry).collect::<Vec<_>>()).unwrap();
        appender.publish(&log).unwrap();
    };
    grow(0..3);
    let old_entries = fs::read(place.folder().join("tile/entries/000.p/3")).unwrap();
    let (old_signed, old_checkpoint) =
        (fs::read(place.signed()).unwrap(), fs::read(place.published()).unwrap());
    grow(3..6);
    let new_signed = fs::read(place.signed()).unwrap();
    // The folder as it was, under the newer memory of what was signed.
    let tile = place.folder().join("tile/entries/000.p/6");
    let newest = fs::read(&tile).unwrap();
    fs::remove_file(&tile).unwrap();
    assert!(matches!(place.open(), Err(LogError::Io { .. })));
    fs::write(&tile, &old_entries).unwrap();
    assert!(matches!(place.open(), Err(LogError::Damaged { .. })));
    let mut altered = newest.clone();
    altered[50] ^= 1;
    fs::write(&tile, &altered).unwrap();
    assert!(matches!(place.open(), Err(LogError::OtherTree { .. })));
    fs::write(&tile, &newest).unwrap();
    // Nothing remembered, another key, another origin.
    fs::remove_file(place.signed()).unwrap();
    assert!(matches!(place.open(), Err(LogError::Forgotten { .. })));
    fs::write(place.signed(), &new_signed).unwrap();
    assert!(matches!(place.open_as("other.example", 1), Err(LogError::Foreign { .. })));
    assert!(matches!(place.open_as("log.example", 2), Err(LogError::Foreign { .. })));
    // A published checkpoint that is behind the signed one is what a crash leaves.
    fs::write(place.published(), old_checkpoint).unwrap();
    assert_eq!(place.open().unwrap().0.checkpoint().get().size, 6);
    drop(old_signed);
}

#[test]
fn the_key_of_a_lost_log_begins_no_other() {
    let key = |seed| Some(SecretKey::from_seed(&[seed; 32]).public());
    let place = Place { begun: key(1), ..Place::new() };
    assert!(matches!(place.open(), Err(LogError::Forgotten { .. })));
    let place = Place { begun: key(2), ..Place::new() };
    place.open().unwrap();
    let place = Place { begun: key(1), ..place };
    assert_eq!(place.open().unwrap().0.checkpoint().get().size, 0);
}

/// Every tile that the published checkpoint has is there, with the right hashes, and no other is shown.
fn assert_tiles_hold(place: &Place, log: &Log) {
    let size = log.checkpoint().get().size;
    let leaves: Vec<_> = (0..size).map(|number| entry(number).leaf()).collect();
    for index in 0..=size / 256 {
        let Some(tile) = Tile::of(TileLevel::Hashes(0), index, size) else {
            continue;
        };
        let content = fs::read(log.tile(tile).unwrap()).unwrap();
        let start = usize::try_from(index * 256).unwrap();
        let expected =
            leaves[start..start + usize::from(tile.width)].iter().flat_map(|leaf| *leaf.as_bytes());
        assert_eq!(content, expected.collect::<Vec<_>>(), "{}", tile.path());
        let beyond = Tile { width: tile.width + 1, ..tile };
        assert!(tile.is_full() || log.tile(beyond).is_none());
    }
    // Whatever part lies there and is shown, has the first of the hashes of the full tile.
    for index in 0..=size / 256 {
        let parts = place.folder().join(Tile { level: TileLevel::Hashes(0), index, width: 1 }.path());
        let Ok(parts) = fs::read_dir(parts.parent().unwrap()) else { continue };
        for part in parts {
            let width = part.unwrap().file_name().to_str().unwrap().parse().unwrap();
            let tile = Tile { level: TileLevel::Hashes(0), index, width };
            let Some(path) = log.tile(tile) else { continue };
            let start = usize::try_from(index * 256).unwrap();
            let expected = leaves[start..start + usize::from(width)].iter().flat_map(|leaf| *leaf.as_bytes());
            assert_eq!(fs::read(path).unwrap(), expected.collect::<Vec<_>>(), "{}", tile.path());
        }
    }
}

fn by_hand(size: u64) -> Digest {
    let leaves: Vec<_> = (0..size).map(|number| entry(number).leaf()).collect();
    let mut read = |level: u8, index: u64| {
        let (start, end) = (index << level, (index + 1) << level);
        let range = usize::try_from(start).unwrap()..usize::try_from(end).unwrap();
        Ok::<_, std::convert::Infallible>(merkle::root(LogTree, &leaves[range]))
    };
    tree_root(size, &mut read).unwrap()
}

fn entry(number: u64) -> LogEntry {
    LogEntry {
        match_id: MatchId::new(leaf_hash(&number.to_le_bytes())),
        height: Height::new(number),
        block: BlockHash::new(Digest::ZERO),
    }
}

fn root() -> SecretKey {
    SecretKey::from_seed(&[9; 32])
}

struct Place {
    scene: TempDir,
    /// What the store says.
    begun: Option<PublicKey>,
}

impl Place {
    fn new() -> Self {
        Self { scene: TempDir::new().unwrap(), begun: None }
    }

    fn folder(&self) -> PathBuf {
        self.scene.path().join("log")
    }

    fn signed(&self) -> PathBuf {
        self.scene.path().join("signed")
    }

    fn published(&self) -> PathBuf {
        self.folder().join("checkpoint")
    }

    fn open(&self) -> Result<(Log, Appender), LogError> {
        self.open_as("log.example", 1)
    }

    fn open_as(&self, origin: &str, seed: u8) -> Result<(Log, Appender), LogError> {
        let key = SecretKey::from_seed(&[seed; 32]);
        let certificate = Certificate {
            version: Certificate::VERSION,
            role: KeyRole::Log,
            key: key.public(),
            serial: 3,
            valid_from: Millis::new(1),
            valid_to: Millis::new(10),
        };
        let certificate = SignedCertificate::issue(&root(), &certificate);
        Log::open(&self.folder(), self.signed(), self.begun, &Origin::new(origin).unwrap(), key, certificate)
    }
}
