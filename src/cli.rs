//! The command line. Results go to stdout, logs to stderr; with `--json` each result is one JSON object a
//! line.

mod access;
mod audit;
mod bot;
mod connect;
mod demo;
mod diff;
mod evidence;
mod export;
mod gif;
mod invite;
mod key;
mod lend;
mod list;
mod load;
mod output;
mod replay;
mod room;
mod say;
mod serve;
mod server_process;
mod watch;
mod witness;

use std::{io::Write, path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand, error::ErrorKind};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::passphrase::Passphrase;
use output::Output;

/// Deterministic, turn-based lockstep matches that can be proved afterwards.
#[derive(Debug, Parser)]
#[command(name = "cadastre", version, max_term_width = 100)]
struct Cli {
    /// Prints each result as one JSON object a line.
    #[arg(long, global = true)]
    json: bool,
    /// What is logged to stderr, in the syntax of `tracing` filters (default: info for serve and witness, else warn).
    #[arg(long, global = true, value_name = "FILTER")]
    log: Option<String>,
    /// Logs as JSON objects.
    #[arg(long, global = true)]
    log_json: bool,
    /// Reads the passphrase of encrypted keys from this open file descriptor; without it from the variable
    /// CADASTRE_PASSPHRASE, else from the systemd credential cadastre-passphrase. New keys are encrypted
    /// under it; without a passphrase keys are plain.
    #[arg(long, global = true, value_name = "N")]
    passphrase_fd: Option<u32>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the service.
    Serve(serve::ServeArgs),
    /// Shows everything once: a server, bots, a spectator, a crash, the replay and its audit.
    Demo(demo::DemoArgs),
    /// Opens and lists rooms, invites into them, and lends seats.
    #[command(subcommand)]
    Room(room::RoomCommand),
    /// Plays as one or more bots.
    Bot(bot::BotArgs),
    /// Watches a room in the terminal, under a throw-away identity.
    Watch(watch::WatchArgs),
    /// Measures a server: turn latency of bots, alone and while many watch.
    Load(load::LoadArgs),
    /// Says something to those who are in a room.
    Say(say::SayArgs),
    /// Fetches a match, finished or not, as a replay file.
    Export(export::ExportArgs),
    /// Shows a replay file: a summary, the state at a turn, or a moving picture.
    Replay(replay::ReplayArgs),
    /// Checks everything in a replay file, or an evidence file. Exit code 0: valid, or nothing is proven; 1:
    /// violations; 2: unreadable, or undecidable.
    Audit(audit::AuditArgs),
    /// Finds the first difference of two replay files. Exit code 0: none; 1: found; 2: unreadable.
    Diff(diff::DiffArgs),
    /// Cosigns the checkpoints of transparency logs, so that none of them can show two histories.
    Witness(witness::WitnessArgs),
    /// Makes, certifies, replaces, encrypts and shows keys.
    #[command(subcommand)]
    Key(key::KeyCommand),
}

/// Which server, and which key it must have.
#[derive(Clone, Debug, Args)]
struct ServerArgs {
    /// The server, as ws://HOST:PORT or http://HOST:PORT.
    #[arg(long, value_name = "URL")]
    server: String,
    /// The server's root key; without it the first key seen is trusted, and remembered.
    #[arg(long, value_name = "HEX")]
    root_key: Option<String>,
}

/// Why a command ends without having done its work.
#[derive(Debug)]
struct CliError {
    code: u8,
    message: String,
}

impl CliError {
    /// The thing checked is not so.
    const NOT_SO: u8 = 1;
    /// Usage, or input that cannot be read.
    const USAGE: u8 = 2;
    /// The service failed.
    const FAILED: u8 = 3;

    fn not_so(message: impl Into<String>) -> Self {
        Self { code: Self::NOT_SO, message: message.into() }
    }

    fn usage(message: impl Into<String>) -> Self {
        Self { code: Self::USAGE, message: message.into() }
    }

    fn failed(message: impl Into<String>) -> Self {
        Self { code: Self::FAILED, message: message.into() }
    }
}

/// What a command ends with.
type Ending = Result<ExitCode, CliError>;

/// Runs the command that the arguments name.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return not_understood(&error),
    };
    match start_log(&cli).and_then(|()| run_command(cli)) {
        // An answer that could not be printed is none.
        Ok(_) if !output::was_printed() => ExitCode::from(CliError::FAILED),
        Ok(code) => code,
        Err(CliError { code, message }) => {
            complain(&message);
            ExitCode::from(code)
        }
    }
}

fn run_command(cli: Cli) -> Ending {
    let output = Output::new(cli.json);
    match cli.command {
        Command::Serve(args) => run(serve::serve(args, cli.passphrase_fd, output)),
        Command::Demo(args) => run(demo::demo(args, output)),
        Command::Room(room::RoomCommand::Create(args)) => run(room::create(args, cli.passphrase_fd, output)),
        Command::Room(room::RoomCommand::Invite(args)) => invite::invite(&args, cli.passphrase_fd, output),
        Command::Room(room::RoomCommand::Lend(args)) => run(lend::lend(args, cli.passphrase_fd, output)),
        Command::Room(room::RoomCommand::List(args)) => run(list::list(args, output)),
        Command::Bot(args) => run(bot::bot(args, cli.passphrase_fd, output)),
        Command::Watch(args) => run(watch::watch(args, output)),
        Command::Load(args) => run(load::load(args, output)),
        Command::Say(args) => run(say::say(args, cli.passphrase_fd, output)),
        Command::Export(args) => run(export::export(args, output)),
        Command::Replay(args) => replay::replay(&args, output),
        Command::Audit(args) => audit::audit(&args, output),
        Command::Diff(args) => diff::diff(&args, output),
        Command::Witness(args) => run(witness::witness(args, cli.passphrase_fd, output)),
        Command::Key(command) => key::key(&command, cli.passphrase_fd, output),
    }
}

/// Shows the help that was asked for, or says in one line what is wrong with the arguments.
fn not_understood(error: &clap::Error) -> ExitCode {
    let help_is_wanted = error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
    if help_is_wanted || !error.use_stderr() {
        // Whoever does not read the help needs no other answer.
        let _ = error.print();
    } else {
        let text = error.to_string();
        let text = text.strip_prefix("error: ").unwrap_or(&text);
        let paragraphs = text.split("\n\n").take_while(|paragraph| !paragraph.starts_with("Usage:"));
        let said = paragraphs.filter(|paragraph| !paragraph.starts_with("For more information"));
        let on_one_line = |paragraph: &str| paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
        complain(&format!("{}; --help says more", said.map(on_one_line).collect::<Vec<_>>().join("; ")));
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(CliError::USAGE))
}

/// Says something on stderr. Where nobody listens any more, the exit code has to do.
fn complain(message: &str) {
    let _ = writeln!(std::io::stderr(), "cadastre: {message}");
}

fn run(command: impl Future<Output = Ending>) -> Ending {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::failed(format!("cannot start: {error}")))?
        .block_on(command)
}

/// Lets the process have as many files and connections open as it is allowed to: what shells give is often too little.
fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    // Without it fewer connections fit, and those that do not are told so.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

fn start_log(cli: &Cli) -> Result<(), CliError> {
    let default =
        if matches!(cli.command, Command::Serve(_) | Command::Witness(_)) { "info" } else { "warn" };
    let filter = tracing_subscriber::EnvFilter::builder()
        .parse(cli.log.as_deref().unwrap_or(default))
        .map_err(|error| CliError::usage(format!("--log: {error}")))?;
    // A log that nobody reads any more must not end what is logged.
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .log_internal_errors(false);
    if cli.log_json {
        builder.json().init();
    } else {
        builder.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).init();
    }
    Ok(())
}

/// An error and what it comes from, on one line.
fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        source = error.source();
    }
    text
}

/// Takes the passphrase from where the user has it.
fn passphrase(descriptor: Option<u32>) -> Result<Option<Passphrase>, CliError> {
    Passphrase::find(descriptor).map_err(|error| CliError::usage(describe(&error)))
}

/// Reads a whole file that a user named.
fn read_file(path: &PathBuf) -> Result<Vec<u8>, CliError> {
    std::fs::read(path).map_err(|error| CliError::usage(format!("cannot read {}: {error}", path.display())))
}
