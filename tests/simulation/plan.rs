//! What is played, and what goes wrong meanwhile: a number says it all.

use cadastre_protocol::{
    AbsencePolicy, Access, AgreementPolicy, Clock, DoubleTransactionPolicy, RandomnessMode, RoomSpec,
    SkipPolicy, SpectatorPolicy, TakebackPolicy, TurnMode, Visibility,
};

use super::{random::Random, world::Faults};

/// What fails is decided by the remainder of the seed.
pub(crate) const KINDS: u64 = 8;

pub(crate) fn faults(seed: u64) -> Faults {
    let none = Faults {
        exports: 2,
        forks: 1,
        loans: 2,
        holidays: 2,
        glances: 6,
        proposals: 6,
        motions: 8,
        ..Faults::default()
    };
    let everything = Faults {
        cuts: 6,
        partitions: 2,
        crashes: 2,
        stops: 1,
        disk_faults: 2,
        slow: 2,
        deaths: 3,
        twins: 2,
        lapses: 5,
        resignations: 1,
        desyncs: 2,
        ..none
    };
    match seed % KINDS {
        0 => none,
        1 => Faults { cuts: 10, partitions: 3, slow: 3, lapses: 5, ..none },
        2 => Faults { crashes: 3, stops: 2, lapses: 5, ..none },
        3 => Faults { crashes: 1, disk_faults: 5, exports: 20, ..none },
        4 => Faults { deaths: 6, twins: 3, resignations: 1, ..none },
        5 => Faults { desyncs: 9, ..none },
        6 => everything,
        _ => Faults { ends: 1, ..everything },
    }
}

/// What is played in a room.
pub(crate) struct Plan {
    pub(crate) spec: RoomSpec,
    pub(crate) entry: Entry,
    /// How many matches its players want to play there.
    pub(crate) matches: usize,
    /// Are its turns so long that its players only look in?
    pub(crate) is_slow: bool,
}

impl Plan {
    /// One match that everybody may come to.
    pub(crate) const fn of(spec: RoomSpec) -> Self {
        Self { spec, entry: Entry::Open, matches: 1, is_slow: false }
    }
}

/// How one comes into a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    Open,
    /// With an invitation by the first of its players.
    Invited,
    Password,
}

/// What is played: one room, sometimes two.
pub(crate) fn plans(seed: u64) -> Vec<Plan> {
    let variant = seed / KINDS;
    let mut random = Random::seeded(!seed);
    let mut plan = |variant| {
        let is_slow = random.once_in(5);
        Plan {
            spec: if is_slow { slow(spec(variant)) } else { spec(variant) },
            entry: match random.within(0..8) {
                0 => Entry::Password,
                1 | 2 => Entry::Invited,
                _ => Entry::Open,
            },
            matches: if is_slow { 1 } else { [1, 1, 1, 2, 3][usize::try_from(random.within(0..5)).unwrap()] },
            is_slow,
        }
    };
    if variant % 5 == 4 { vec![plan(variant), plan(variant / 5)] } else { vec![plan(variant)] }
}

/// The same with turns of hours, and no longer than it has to be.
fn slow(spec: RoomSpec) -> RoomSpec {
    RoomSpec {
        deadline_ms: Some(6 * 60 * 60 * 1_000),
        clock: Clock::PerTurn,
        absence: AbsencePolicy::USUAL,
        size: Some(if spec.rules == "boxes" { 3 } else { 64 }),
        ..spec
    }
}

pub(crate) fn spec(variant: u64) -> RoomSpec {
    let mode = if variant.is_multiple_of(2) { TurnMode::Simultaneous } else { TurnMode::Alternating };
    let visibility = match variant % 3 {
        0 => Visibility::Held,
        1 => Visibility::Sealed,
        _ => Visibility::Open,
    };
    let is_random = variant / 6 % 2 == 1;
    let (rules, size, turns_max) = match variant % 8 {
        3 => ("city", 64, Some(8)),
        // Long enough for a keyframe.
        5 => ("boxes", 6, is_random.then_some(100)),
        _ => ("boxes", 3, is_random.then_some(40)),
    };
    // Who does nothing wrong has time enough, for both halves of a turn.
    let increment_ms = if visibility == Visibility::Sealed { 6_000 } else { 4_000 };
    let clock = match variant % 7 {
        0..4 => Clock::PerTurn,
        _ => Clock::Bank { initial_ms: increment_ms + 2_000, increment_ms },
    };
    let absence = match variant % 9 {
        0..3 => AbsencePolicy::USUAL,
        3 => AbsencePolicy::TakeOver {
            abandon_after: 50,
            forfeit_after: None,
            shortest_ms: 3_000,
            take_over_after: 1,
        },
        4..7 => AbsencePolicy::Forfeit { abandon_after: 50, forfeit_after: 4 },
        _ => AbsencePolicy::Shrink { abandon_after: 50, forfeit_after: Some(6), shortest_ms: 3_000 },
    };
    let seats = u8::try_from(2 + variant / 2 % 3).unwrap();
    let late_joins = seats > 2 && !is_random && visibility != Visibility::Sealed;
    RoomSpec {
        rules: rules.into(),
        size: Some(size),
        seats,
        mode,
        turns_max,
        deadline_ms: Some(5_000),
        spectators: match variant % 5 {
            4 => SpectatorPolicy::Allowed { delay_turns: 2 },
            3 => SpectatorPolicy::Later { delay_s: 7 },
            _ => SpectatorPolicy::AT_ONCE,
        },
        double_transactions: DoubleTransactionPolicy::EndMatch,
        visibility,
        randomness: if is_random { RandomnessMode::CommitReveal } else { RandomnessMode::None },
        takebacks: if !is_random && variant % 4 < 2 {
            TakebackPolicy::Unanimous
        } else {
            TakebackPolicy::Never
        },
        agreements: AgreementPolicy {
            pause_ms_max: if variant % 5 < 3 { 3_000 } else { 0 },
            end: variant % 3 < 2,
            skip: match variant % 4 {
                0 | 3 => SkipPolicy::Majority,
                1 => SkipPolicy::AllOthers,
                _ => SkipPolicy::Never,
            },
        },
        clock,
        absence,
        seats_min: if late_joins { 2 } else { seats },
        access: Access::PUBLIC,
        fork: None,
        late_joins,
        grace_ms: if variant % 3 == 1 { 2_000 } else { 0 },
    }
}
