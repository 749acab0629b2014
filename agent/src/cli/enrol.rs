//! `enrol`: join a fleet.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rescind_protocol::enrol::JoinToken;
use rescind_protocol::name::HostName;
use rescind_protocol::sign::SigningKey;
use zeroize::Zeroizing;

use crate::cli::complain;
use crate::cli::exit::Exit;
use crate::config::{SERVERS_MAX, ServerAddress, host_name, layout};
use crate::link::enrol::{EnrolError, Enrolment, enrol};
use crate::store::{HostClock, Options, Store, StoreError};

/// The longest token file, in bytes.
const TOKEN_BYTES_MAX: u64 = 4096;

/// Join a fleet with a one-time token from `rescind token new`
///
/// Makes this host's keys, which never leave it, and writes /etc/rescind/trust.toml. Safe to
/// repeat; a host that was enrolled before keeps its evidence.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rescind-agent enrol --server rescind.example.com --token-file /root/token
  rescind-agent enrol --server rescind.example.com --token - < token

A token given as `--token rescind1.…` can be seen by every user of this host (ps) and stays in the
shell's history; one from a file or from standard input cannot.

Exit codes: 0 enrolled, 65 not a token, 69 nobody reached (the token is still good), 74 a file
cannot be written, 75 busy or the answer was lost, 76 an unusable answer, 77 refused or not the
control plane of the token, 78 this host lacks something.")]
pub struct Args {
    /// The control plane's address; port 7443 unless said; may be given several times
    #[arg(long = "server", value_name = "NAME[:PORT]", required = true)]
    servers: Vec<ServerAddress>,
    /// The token, or - to read it from standard input
    #[arg(long, value_name = "TOKEN", required_unless_present = "token_file")]
    token: Option<Secret>,
    /// A file that holds the token, or -
    #[arg(long, value_name = "FILE", conflicts_with = "token")]
    token_file: Option<PathBuf>,
    /// What to call this host; its own name unless said
    #[arg(long, value_name = "NAME")]
    name: Option<HostName>,
    /// The host's root directory
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
}

/// An argument that is not printed.
#[derive(Clone)]
struct Secret(Zeroizing<String>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}
impl std::str::FromStr for Secret {
    type Err = std::convert::Infallible;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(Zeroizing::new(text.to_owned())))
    }
}

/// Does it.
pub fn run(args: Args) -> Exit {
    let text = match (args.token, args.token_file) {
        (Some(token), _) if *token.0 != "-" => Ok(token.0),
        (_, Some(path)) if path != Path::new("-") => read_token(File::open(&path), &path),
        _ => read_token(Ok(io::stdin()), Path::new("standard input")),
    };
    let text = match text {
        Ok(text) => text,
        Err(why) => {
            eprintln!("rescind-agent: {why}");
            return Exit::Io;
        }
    };
    let token: JoinToken = match text.parse() {
        Ok(token) => token,
        Err(error) => {
            complain(&error);
            return Exit::Data;
        }
    };
    if args.servers.len() > SERVERS_MAX {
        return Exit::Usage.because(format!("give at most {SERVERS_MAX} servers"));
    }
    let Some(name) = args.name.or_else(|| host_name(&args.root)) else {
        eprintln!("rescind-agent: this host has no usable name: give it one with --name");
        return Exit::Usage;
    };
    let evidence_key = match begin_store(&args.root) {
        Ok(key) => key,
        Err(error) => {
            complain(&error);
            return match error {
                StoreError::Key { .. } | StoreError::Unsafe { .. } => Exit::Config,
                _ => Exit::Io,
            };
        }
    };
    let enrolment = Enrolment {
        servers: args.servers,
        token,
        root: args.root,
        name,
        evidence_key,
    };
    match enrol(enrolment) {
        Ok(summary) => {
            println!("enrolled as host {} with {}", summary.host, summary.server);
            if let Some(formerly) = summary.formerly.filter(|former| *former != summary.host) {
                println!("it was host {formerly} before");
            }
            if let Some(unread) = &summary.unread {
                println!("it joined as a new host, what it was before cannot be read: {unread}");
            }
            println!(
                "its certificate ends at {} and renews itself",
                summary.not_after
            );
            println!("now: systemctl restart rescind-link");
            Exit::Ok
        }
        Err(error) => {
            complain(&error);
            exit_of(&error)
        }
    }
}

fn read_token(from: io::Result<impl Read>, path: &Path) -> Result<Zeroizing<String>, String> {
    let mut text = Zeroizing::new(String::with_capacity(TOKEN_BYTES_MAX as usize));
    from.and_then(|from| from.take(TOKEN_BYTES_MAX).read_to_string(&mut text))
        .map_err(|error| format!("cannot read the token from {}: {error}", path.display()))?;
    Ok(text)
}

/// The store, begun before the host is enrolled; the key that signs its chain.
fn begin_store(root: &Path) -> Result<SigningKey, StoreError> {
    let options = Options {
        enrolled: layout::trust_toml(root).exists(),
        ..Options::default()
    };
    let version = env!("CARGO_PKG_VERSION");
    Store::begin(&layout::agent_dir(root), HostClock, version, options)
}

const fn exit_of(error: &EnrolError) -> Exit {
    match error {
        EnrolError::User(_) => Exit::Config,
        EnrolError::File(_) | EnrolError::Unkept(_) => Exit::Io,
        EnrolError::Key(_) | EnrolError::Runtime(_) => Exit::Os,
        EnrolError::Unreachable(_) => Exit::Unavailable,
        EnrolError::WrongCa { .. } | EnrolError::Refused(_) => Exit::NoPermission,
        EnrolError::Busy { .. } | EnrolError::AnswerLost { .. } => Exit::TempFail,
        EnrolError::BadAnswer(_) => Exit::Protocol,
    }
}
