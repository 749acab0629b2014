//! The local command line's door: `admin.sock`, for root only.
//!
//! One request and one answer per connection, each a frame of JSON. The same requests are served
//! in the asking process itself when no daemon runs (`--root`, a rescue system), so what a command
//! prints does not depend on where it was computed.

use std::io::{ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use rescind_protocol::frame::{Frame, FrameBuffer};
use rescind_protocol::name::AccountName;
use serde::{Deserialize, Serialize};

use crate::daemon::aside;
use crate::orders::{Engine, Host, held};

/// Frame kinds on this socket; they share nothing with those of the control plane.
const REQUEST: u8 = 1;
const ANSWER_PART: u8 = 2;
const ANSWER_END: u8 = 3;
const ANSWER_ERROR: u8 = 4;
/// An order to apply has its own deadline at the worker; this is for a daemon that hangs.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);
/// How long the records of logins are read where no agent has read them before.
const LOGINS_PATIENCE: Duration = Duration::from_secs(10);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
const PART_BYTES: usize = 256 * 1024;

/// What the local command line can ask.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub enum Request {
    /// How the agent is doing.
    Status,
    /// Access paths.
    Paths {
        /// One account's, or everybody's.
        account: Option<AccountName>,
    },
    /// The accounts of the host, each with how many ways in are open, and with its last login.
    Inventory,
    /// Who came in last, and which keys were used.
    LastUsed,
    /// The credentials that lie on the host.
    Secrets,
    /// Why an account can become root.
    Explain {
        /// The account.
        account: AccountName,
    },
    /// Apply a signed order from a file, or show what it would change.
    Apply {
        /// The signed order, base64.
        signed: String,
        /// Only plan.
        dry_run: bool,
    },
}

impl Request {
    /// Whether the answer tells of logins, so that somebody should look for them first.
    pub const fn tells_logins(&self) -> bool {
        matches!(self, Self::Paths { .. } | Self::Inventory | Self::LastUsed)
    }
}

/// An answer: the text of a JSON value, or why there is none.
pub type Answer = Result<String, String>;

/// Answers without a daemon. What only looks at the host opens no store, and makes none.
pub fn answer_here(root: &Path, request: Request) -> Answer {
    let looks = request.tells_logins();
    let host = || {
        let host = Host::below(root).map_err(|error| error.to_string())?;
        if looks {
            host.logins().look(LOGINS_PATIENCE);
        }
        Ok::<_, String>(host)
    };
    let text = |error: crate::orders::EngineError| error.to_string();
    let found = match request {
        Request::Paths { account } => host()?.paths_and_use(account.as_ref()).map_err(text),
        Request::Explain { account } => aside::explain_here(root, &account),
        Request::Inventory => return host()?.inventory().map_err(text),
        Request::LastUsed => host()?.last_used().map_err(text),
        Request::Secrets => held::report(root).map_err(text),
        Request::Status | Request::Apply { .. } => {
            let mut engine = Engine::open(root).map_err(text)?;
            return answer(&mut engine, request);
        }
    };
    found.map(|found| found.to_string())
}

/// Answers a request; used by the daemon's worker.
pub fn answer(engine: &mut Engine, request: Request) -> Answer {
    let text = |error: crate::orders::EngineError| error.to_string();
    let found = match request {
        Request::Status => Ok(engine.status()),
        Request::Paths { account } => engine.paths_and_use(account.as_ref()).map_err(text),
        Request::Explain { account } => aside::explain(engine.root(), account),
        Request::Inventory => return engine.inventory().map_err(text),
        Request::LastUsed => engine.last_used().map_err(text),
        Request::Secrets => held::report(engine.root()).map_err(text),
        Request::Apply { signed, dry_run } => {
            use base64::Engine as _;
            let bytes = base64::engine::general_purpose::STANDARD
                .decode(&signed)
                .map_err(|_| "the order did not survive the socket".to_owned())?;
            if dry_run {
                engine.dry_run(&bytes).map_err(text)
            } else {
                engine.apply_carried(&bytes).map_err(text)
            }
        }
    };
    found.map(|found| found.to_string())
}

/// Why a daemon could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody listens on the socket.
    #[error(
        "the agent is not running ({socket}: {source}); start it with `systemctl start rescind-agent`"
    )]
    NotRunning {
        /// The socket.
        socket: String,
        /// What connecting said.
        source: std::io::Error,
    },
    /// The conversation broke off.
    #[error("the agent did not answer: {0}")]
    Broken(std::io::Error),
    /// The answer is not one.
    #[error("the agent's answer cannot be read")]
    Unreadable,
    /// The agent says no.
    #[error("{0}")]
    Refused(String),
}

/// Asks the running daemon; its answer is the text of a JSON value.
pub fn ask(socket: &Path, request: &Request) -> Result<String, AskError> {
    let mut stream = UnixStream::connect(socket).map_err(|source| AskError::NotRunning {
        socket: socket.display().to_string(),
        source,
    })?;
    stream
        .set_read_timeout(Some(ANSWER_TIMEOUT))
        .map_err(AskError::Broken)?;
    let body = serde_json::to_vec(request).map_err(|_| AskError::Unreadable)?;
    let frame = Frame {
        kind: REQUEST,
        body,
    };
    stream
        .write_all(&frame.to_bytes())
        .map_err(AskError::Broken)?;
    let mut json = Vec::new();
    let mut frames = FrameBuffer::default();
    loop {
        let frame = frames.read_from(&mut stream).map_err(AskError::Broken)?;
        let frame = frame.ok_or_else(|| AskError::Broken(ErrorKind::UnexpectedEof.into()))?;
        json.extend_from_slice(&frame.body);
        match frame.kind {
            ANSWER_PART => {}
            ANSWER_END => return String::from_utf8(json).map_err(|_| AskError::Unreadable),
            _ => {
                return Err(AskError::Refused(
                    String::from_utf8_lossy(&json).into_owned(),
                ));
            }
        }
    }
}

/// Serves one connection: reads its request, has it answered, writes the answer.
pub fn serve(
    mut stream: UnixStream,
    ask_worker: impl FnOnce(Request) -> Answer,
) -> std::io::Result<()> {
    stream.set_read_timeout(Some(REQUEST_TIMEOUT))?;
    stream.set_write_timeout(Some(REQUEST_TIMEOUT))?;
    let frame = FrameBuffer::default().read_from(&mut stream)?;
    let frame = frame.ok_or(ErrorKind::UnexpectedEof)?;
    let answer = match serde_json::from_slice::<Request>(&frame.body) {
        Ok(request) if frame.kind == REQUEST => ask_worker(request),
        _ => {
            Err("this agent does not know that request; is the command of another version?".into())
        }
    };
    let (kind, body) = match answer {
        Ok(json) => (ANSWER_END, json.into_bytes()),
        Err(message) => (ANSWER_ERROR, message.into_bytes()),
    };
    let mut parts = body.chunks(PART_BYTES).peekable();
    if parts.peek().is_none() {
        return stream.write_all(&Frame { kind, body: vec![] }.to_bytes());
    }
    while let Some(part) = parts.next() {
        let kind = if parts.peek().is_some() {
            ANSWER_PART
        } else {
            kind
        };
        let body = part.to_vec();
        stream.write_all(&Frame { kind, body }.to_bytes())?;
    }
    Ok(())
}
