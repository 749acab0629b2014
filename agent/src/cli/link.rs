//! `link`: the network half.

use std::io;
use std::path::PathBuf;

use crate::cli::complain;
use crate::cli::exit::Exit;
use crate::cli::logging;
use crate::config::{Config, ConfigError, FileError, Trust};
use crate::link::session::{self, LinkError};

/// Keep this host connected to its control plane (the service rescind-link)
///
/// Runs as the user rescind-link, becoming it when started as root, and passes frames between the
/// control plane and the root half of the agent. It needs no privilege and gives up the rest.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  systemctl start rescind-link

Exit codes: 0 stopped by a signal, 71 the system does not let it run, 78 wrong configuration or
not enrolled.")]
pub struct Args {
    /// The host's root directory
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
}

/// Does it.
pub fn run(args: &Args) -> Exit {
    let (config, unreadable) = match Config::load(&args.root) {
        Ok(config) => (config, None),
        // What the ceiling says is for the root half; of this file the link needs a heartbeat and
        // a log level, and a host that is cut off because of those is worse.
        Err(ConfigError::File(FileError::Io { source, path, .. }))
            if source.kind() == io::ErrorKind::PermissionDenied =>
        {
            (Config::default(), Some(path))
        }
        Err(error) => {
            complain(&error);
            return Exit::Config;
        }
    };
    logging::start(config.log.level);
    if let Some(path) = unreadable {
        tracing::warn!(
            "the link may not read {}: it uses the packaged defaults; chmod 0644 it",
            path.display()
        );
    }
    let trust = match Trust::load(&args.root) {
        Ok(Some(trust)) => trust,
        Ok(None) => {
            tracing::error!("this host is not enrolled: run `rescind-agent enrol`");
            return Exit::Config;
        }
        Err(error) => {
            tracing::error!("{error}");
            return Exit::Config;
        }
    };
    match session::run(&args.root, config.link, &trust) {
        Ok(()) => Exit::Ok,
        Err(error) => {
            tracing::error!("{error}");
            match error {
                LinkError::User(_) => Exit::Config,
                LinkError::Become(_) | LinkError::Sandbox(_) | LinkError::Runtime(_) => Exit::Os,
            }
        }
    }
}
