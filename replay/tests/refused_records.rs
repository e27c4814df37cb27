//! Records that no writer makes: under right links, so that the reader must find them by what they say.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use cadastre_protocol::{ProvenBlock, Wire};
use cadastre_replay::{
    AuditError, Damage, Fault, RATIO_MAX, RecordKind, Replay, audit,
    fixture::{Match, Plan, RawRecord, finish, group, join, kind, split},
};

#[test]
fn an_unknown_record_type_is_refused() {
    for unknown in [0, 8, 255] {
        expect(&changed(1, |record| record.kind = unknown), Fault::UnknownRecord(unknown), 1);
    }
}

#[test]
fn an_unknown_codec_is_refused() {
    expect(&changed(1, |record| record.codec = 2), Fault::UnknownCodec(2), 1);
}

#[test]
fn reserved_fields_must_be_zero() {
    for at in 0..records().len() {
        expect(&changed(at, |record| record.reserved = 0x8000), Fault::Reserved, at);
    }
    let last = records().len() - 1;
    for at in [0, last - 1, last] {
        expect(&changed(at, |record| record.first_height = 1), Fault::Reserved, at);
    }
}

#[test]
fn four_gigabytes_are_refused_without_allocating_them() {
    for (at, record) in records().iter().enumerate() {
        let kind = RecordKind::from_code(record.kind).unwrap();
        let got = usize::try_from(u32::MAX).unwrap();
        let too_long = Fault::TooLong { kind, got, max: kind.raw_bytes_max() };
        expect(&changed(at, |record| record.raw_len = u32::MAX), too_long, at);
    }
    // A stored length is held against the file before anything else.
    let mut file = join(&records());
    file[8 + 4..8 + 8].copy_from_slice(&u32::MAX.to_le_bytes());
    expect(&file, Fault::Cut, 0);
}

#[test]
fn a_ratio_that_no_compression_reaches_is_refused() {
    let bomb = |raw_len: u32| {
        let mut stored = snappy_length(raw_len);
        stored.resize(100, 0xfe);
        changed(2, |record| *record = RawRecord { codec: 1, raw_len, stored, ..record.clone() })
    };
    let most = u32::try_from(100 * RATIO_MAX).unwrap();
    expect(&bomb(30 << 20), Fault::Lengths, 2);
    expect(&bomb(most + u32::try_from(RATIO_MAX).unwrap()), Fault::Lengths, 2);
    // Possible, but not what these bytes decompress to.
    expect(&bomb(most), Fault::Compression, 2);
}

#[test]
fn lengths_must_fit_the_codec() {
    let snappy = |content: &[u8]| snap::raw::Encoder::new().compress_vec(content).unwrap();
    expect(&changed(1, |record| record.raw_len += 1), Fault::Lengths, 1);
    // Compressed, and longer for it.
    let noise: Vec<u8> = (0..=255).collect();
    let longer = RawRecord { codec: 1, stored: snappy(&noise), ..RawRecord::raw(kind::BLOCKS, 1, noise) };
    expect(&changed(1, |record| *record = longer), Fault::Lengths, 1);
    // Snappy says another length inside than the record does.
    let content = records()[2].content();
    let (stored, raw_len) = (snappy(&content), u32::try_from(content.len() + 1).unwrap());
    expect(&changed(2, |r| *r = RawRecord { codec: 1, raw_len, stored, ..r.clone() }), Fault::Compression, 2);
    // The trailer has a fixed size.
    let last = records().len() - 1;
    let zeros =
        RawRecord { codec: 1, stored: snappy(&[0; 60]), ..RawRecord::raw(kind::TRAILER, 0, vec![0; 60]) };
    expect(&changed(last, |record| *record = zeros), Fault::Lengths, last);
}

#[test]
fn records_stand_in_their_order() {
    let good = records();
    let last = good.len() - 1;
    let misplaced = |at: usize, record: &RawRecord| {
        let mut bad = good.clone();
        bad.insert(at, record.clone());
        let kind = RecordKind::from_code(record.kind).unwrap();
        expect(&join(&bad), Fault::Misplaced(kind), at);
    };
    misplaced(0, &good[1]);
    misplaced(1, &good[0]);
    misplaced(1, &good[last]);
    misplaced(last, &good[1]);
    misplaced(last, &good[last - 1]);
    let mut bad = good.clone();
    bad.push(good[last].clone());
    expect(&join(&bad), Fault::AfterTrailer, last + 1);
}

#[test]
fn a_group_is_whole_blocks_and_at_least_one() {
    let block = records()[1].content();
    let over = u32::try_from(ProvenBlock::BYTES_MAX + 1).unwrap().to_le_bytes();
    let bad: [(Vec<u8>, &str); 4] = [
        (Vec::new(), "no block in it"),
        (block[..block.len() - 1].to_vec(), "it ends within a block"),
        ([&block[..], &[0; 3]].concat(), "it ends within a block"),
        ([&block[..], &over, &[0; 100]].concat(), "a block over its limit"),
    ];
    for (content, reason) in bad {
        expect(&changed(1, |record| *record = record.with(content)), Fault::Group(reason), 1);
    }
}

#[test]
fn a_malformed_block_is_named_by_its_height() {
    let blocks = made().blocks().to_vec();
    for at in [0, blocks.len() - 1] {
        let mut bad = blocks.clone();
        bad[at].block.push(0);
        let damage = damage_of(&changed(1, |record| *record = record.with(group(&bad))));
        let Fault::Block { height, .. } = damage.fault else { panic!("{damage}") };
        assert_eq!(height.get(), u64::try_from(at + 1).unwrap());
    }
}

#[test]
fn a_header_of_another_version_is_refused_by_name() {
    let mut content = records()[0].content();
    content[0] = 2;
    content.truncate(10);
    expect(&changed(0, |record| *record = record.with(content)), Fault::UnknownVersion(2), 0);
}

#[test]
fn a_keyframe_interval_of_nothing_is_refused() {
    let mut content = records()[0].content();
    content[2..6].fill(0);
    let file = changed(0, |record| *record = record.with(content));
    assert!(matches!(damage_of(&file).fault, Fault::Header(_)));
}

#[test]
fn every_seat_has_a_name() {
    let mut content = records()[0].content();
    let names = content.len() - 8 - 2 * 16;
    content[names] = 1;
    content.truncate(names + 8 + 16);
    expect(&changed(0, |record| *record = record.with(content)), Fault::Names, 0);
}

fn made() -> Match {
    let mut made = Match::new(&Plan::SMALL);
    made.play(2);
    made
}

/// Header, blocks, keyframe, index, trailer; none compressed.
fn records() -> Vec<RawRecord> {
    let (file, _) = made().replay_with_keyframe_every(2);
    let mut records = split(&file);
    records.truncate(records.len() - 2);
    let records = split(&finish(records.iter().map(|record| record.with(record.content())).collect()));
    assert_eq!(records.iter().map(|record| record.kind).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    records
}

fn changed(at: usize, change: impl FnOnce(&mut RawRecord)) -> Vec<u8> {
    let mut records = records();
    change(&mut records[at]);
    join(&records)
}

/// The length that a Snappy block begins with.
fn snappy_length(mut len: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    while len >= 0x80 {
        bytes.push(u8::try_from(len & 0x7f).unwrap() | 0x80);
        len >>= 7;
    }
    bytes.push(u8::try_from(len).unwrap());
    bytes
}

/// Both ways to read the file must find the same.
fn damage_of(file: &[u8]) -> Damage {
    let Err(AuditError::Unreadable { damage, .. }) = audit(file, None) else { panic!("nothing is found") };
    let opened = Replay::open(file).map_or_else(Some, |replay| replay.damage());
    // A player does not look into a keyframe before it needs it.
    if let Some(opened) = opened {
        assert_eq!(opened, damage);
    }
    damage
}

fn expect(file: &[u8], fault: Fault, at: usize) {
    let before: usize = records()[..at.min(5)].iter().map(RawRecord::file_bytes).sum();
    assert_eq!(damage_of(file), Damage { offset: 8 + before, fault });
}
