//! How a command ended, in the numbers of sysexits(3), which scripts and service managers know.

use std::process::ExitCode;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Exit {
    /// As asked.
    Ok = 0,
    /// An order ended otherwise than as asked; what it printed says how.
    OtherOutcome = 3,
    /// EX_USAGE: the command line makes no sense.
    Usage = 64,
    /// EX_DATAERR: what was given is not what it should be: a token, an order.
    Data = 65,
    /// EX_UNAVAILABLE: a service that is needed is not there.
    Unavailable = 69,
    /// EX_OSERR: the operating system does not give what is needed.
    Os = 71,
    /// EX_IOERR: a file cannot be read or written.
    Io = 74,
    /// EX_TEMPFAIL: try again later.
    TempFail = 75,
    /// EX_PROTOCOL: the other side answered nonsense.
    Protocol = 76,
    /// EX_NOPERM: the other side, or this host, does not let you.
    NoPermission = 77,
    /// EX_CONFIG: the configuration is wrong, or this host is not enrolled.
    Config = 78,
}

impl Exit {
    /// This end, with the reason on standard error.
    pub fn because(self, reason: impl std::fmt::Display) -> Self {
        eprintln!("rescind-agent: {reason}");
        self
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
