//! The smallest client: joins a room, plays what the game suggests each turn, and shows what that comes to, before
//! the block is there and after. Copy it, and put your own game's interface where the suggestion stands.
//!
//! ```text
//! cadastre serve                                        # in one terminal
//! cargo run -p cadastre-client --features transport --example join_and_submit -- ws://127.0.0.1:7777 room-1
//! ```

use std::error::Error;

use cadastre_client::{Client, Config, Event, ServerUrl};
use cadastre_protocol::{
    AbsencePolicy, Access, AgreementPolicy, Clock, DisplayName, DoubleTransactionPolicy, EnterAs,
    RandomnessMode, RoomName, RoomSpec, SecretKey, SpectatorPolicy, TakebackPolicy, Trust, TurnMode,
    Visibility,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let url = ServerUrl::parse(&args.next().ok_or("the first argument is the server's URL")?)?;
    let room =
        RoomName::new(&args.next().ok_or("the second argument is the room's name")?).ok_or("room name")?;

    // A real client keeps this seed in a key file: whoever has it holds the player's seats.
    let (mut seed, mut process) = ([0; 32], [0; 32]);
    getrandom::fill(&mut seed)?;
    getrandom::fill(&mut process)?;
    let config = Config {
        identity: SecretKey::from_seed(&seed),
        process: SecretKey::from_seed(&process),
        room,
        enter_as: EnterAs::Player,
        name: DisplayName::new("newcomer").ok_or("display name")?,
        // If there is no such room, open one for a single city of 20 turns.
        open: Some(RoomSpec {
            rules: "city".into(),
            size: Some(64),
            seats: 1,
            mode: TurnMode::Simultaneous,
            turns_max: Some(20),
            deadline_ms: None,
            spectators: SpectatorPolicy::AT_ONCE,
            double_transactions: DoubleTransactionPolicy::KeepFirst,
            visibility: Visibility::Held,
            randomness: RandomnessMode::None,
            takebacks: TakebackPolicy::Never,
            agreements: AgreementPolicy::NONE,
            clock: Clock::PerTurn,
            absence: AbsencePolicy::USUAL,
            seats_min: 1,
            access: Access::PUBLIC,
            fork: None,
            late_joins: false,
            grace_ms: 0,
        }),
        credential: None,
    };

    // A real client pins the server's root key, or remembers the first one it saw.
    let mut client = Client::new(url, Trust::FirstUse, config);
    loop {
        match client.next().await? {
            Event::Connected { root } => println!("connected; the server's root key is {root}"),
            Event::Match { match_id, seat } => println!("match {match_id}, seat {seat:?}"),
            Event::YourTurn { turn, .. } => {
                let session = client.session();
                let (Some(follower), Some(seat)) = (session.follower(), session.seat()) else { continue };
                let commands = follower.game().simulation().suggest(seat);
                // A real client adds to the draft with each click, can undo, and draws the predicted state.
                client.draft(commands)?;
                let changed = client.predicted().map_or(0, |predicted| predicted.changed.len());
                println!("turn {turn}: commands that change {changed} chunks");
                client.submit_draft()?;
            }
            Event::Block { head, voids, .. } => {
                println!("block {} verified, state {}", head.height, head.state_root);
                voids.iter().for_each(|void| println!("  no effect: {}", void.reason));
            }
            Event::Mispredicted(misprediction) => {
                println!("  not as shown: {:?}", misprediction.cause);
                misprediction.differences.iter().for_each(|field| println!("    {field}"));
            }
            Event::Ended { standings, .. } => {
                println!("over: {standings:?}");
                client.close().await;
                return Ok(());
            }
            Event::Failed(failure) => return Err(failure.into()),
            Event::Refused { refusal, .. } => println!("refused: {refusal}"),
            // Lost connections come back by themselves; lobby, receipts and the rest are for the curious.
            Event::Lost { .. }
            | Event::Joined { .. }
            | Event::Shown { .. }
            | Event::Seated { .. }
            | Event::Lobby(_)
            | Event::CaughtUp
            | Event::Relayed(_)
            | Event::Takeback { .. }
            | Event::Rematch { .. }
            | Event::Motion { .. }
            | Event::Undrafted { .. }
            | Event::Receipt(_)
            | Event::Evidence(_)
            | Event::Desync(_)
            | Event::Goodbye { .. }
            | Event::Said { .. }
            | Event::NotSaid { .. }
            | Event::Conversing
            | Event::TalkMissed { .. }
            | Event::TalkBroken { .. }
            | Event::Notice(_)
            | Event::Limited { .. } => {}
        }
    }
}
