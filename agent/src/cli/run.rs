//! `run`: the root half.

use std::path::{Path, PathBuf};

use crate::cli::complain;
use crate::cli::exit::Exit;
use crate::cli::logging;
use crate::config::Config;
use crate::daemon;
use crate::orders::Engine;

/// Carry out orders and hold them in force (the service rescind-agent)
///
/// Needs root. Has no network of its own: rescind-link brings the orders, and
/// `rescind-agent apply` where no network does.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  systemctl start rescind-agent

Exit codes: 0 stopped by a signal, 71 the system does not let it run, 74 the store cannot be
read or written, 78 wrong configuration.")]
pub struct Args {
    /// The host's root directory; one that is not booted needs no root, and has no processes
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
}

/// Does it.
pub fn run(args: &Args) -> Exit {
    let root = args.root.as_path();
    let config = match Config::load(root) {
        Ok(config) => config,
        Err(error) => {
            complain(&error);
            return Exit::Config;
        }
    };
    logging::start(config.log.level);
    if root == Path::new("/") && !crate::sys::ids::is_root() {
        complain(&NotRoot);
        return Exit::Os;
    }
    let engine = match Engine::open(root) {
        Ok(engine) => engine,
        Err(error) => {
            tracing::error!("{error}");
            return Exit::Io;
        }
    };
    match daemon::run(root, engine, config.hold.survey_interval) {
        Ok(()) => Exit::Ok,
        Err(error) => {
            tracing::error!("{error}");
            Exit::Os
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("changing accounts needs root; run it as the service rescind-agent")]
struct NotRoot;
