//! The options before a key (`sshauthopt_parse` of auth-options.c; sshd(8), AUTHORIZED_KEYS FILE FORMAT).

use std::fmt;

use rescind_protocol::name::Digest;

use super::pattern;

/// What of a key's options decides whether and how far it lets somebody in. What `command=` and `environment=` say
/// is not kept: it may hold secrets.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct KeyOptions {
    /// The key signs certificates and lets nobody in by itself.
    pub cert_authority: bool,
    /// `principals=`, as written.
    pub principals: Option<Vec<u8>>,
    /// `from=`, as written.
    pub from: Option<Vec<u8>>,
    /// The earliest `expiry-time=`.
    pub expiry: Option<Expiry>,
    /// There is a `command=`.
    pub command: Option<ForcedCommand>,
    /// There is a `restrict`.
    pub restrict: bool,
    /// What the key may do besides running a command, after `restrict` and the `no-` options.
    pub permits: Permits,
}

/// A command that a line or a certificate forces, told only from other commands: it may hold secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct ForcedCommand(Digest);

impl ForcedCommand {
    /// Of the command itself, without quotes.
    pub fn of(command: &[u8]) -> Self {
        Self(Digest::of(command))
    }
}

impl fmt::Debug for ForcedCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ForcedCommand")
    }
}

/// What a key may do besides running a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the option of that name in sshd(8)")]
pub struct Permits {
    pub port_forwarding: bool,
    pub agent_forwarding: bool,
    pub x11_forwarding: bool,
    pub pty: bool,
    pub user_rc: bool,
}

impl Permits {
    const NOTHING: Self = Self {
        port_forwarding: false,
        agent_forwarding: false,
        x11_forwarding: false,
        pty: false,
        user_rc: false,
    };
}

impl Default for Permits {
    fn default() -> Self {
        Self {
            port_forwarding: true,
            agent_forwarding: true,
            x11_forwarding: true,
            pty: true,
            user_rc: true,
        }
    }
}

/// When a key expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expiry {
    /// Seconds since 1970-01-01T00:00:00, in UTC or in sshd's own time zone.
    pub seconds: i64,
    /// Whether `seconds` is in UTC (written with `Z` or `UTC`, which OpenSSH takes since 9.1).
    pub utc: bool,
}

impl fmt::Debug for KeyOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyOptions")
            .field("cert_authority", &self.cert_authority)
            .field("from", &self.from.is_some())
            .field("expiry", &self.expiry)
            .field("command", &self.command.is_some())
            .field("restrict", &self.restrict)
            .finish_non_exhaustive()
    }
}

/// sshd would not use the key because of this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadOptions(pub &'static str);

impl KeyOptions {
    /// Parses options up to the first blank outside quotes; what follows is not looked at.
    pub fn parse(text: &[u8]) -> Result<Self, BadOptions> {
        let mut options = Self::default();
        let mut rest = text;
        while !at_end(rest) {
            rest = options.take_one(rest)?;
            if at_end(rest) {
                break;
            }
            rest = rest
                .strip_prefix(b",")
                .ok_or(BadOptions("unknown key option"))?;
            if rest.is_empty() {
                return Err(BadOptions("unexpected end of key options"));
            }
        }
        Ok(options)
    }

    fn take_one<'a>(&mut self, text: &'a [u8]) -> Result<&'a [u8], BadOptions> {
        if let Some((rest, _)) = flag(text, "restrict", false) {
            (self.restrict, self.permits) = (true, Permits::NOTHING);
            return Ok(rest);
        }
        if let Some((rest, _)) = flag(text, "cert-authority", false) {
            self.cert_authority = true;
            return Ok(rest);
        }
        let permits = &mut self.permits;
        for (name, kept) in [
            ("port-forwarding", &mut permits.port_forwarding),
            ("agent-forwarding", &mut permits.agent_forwarding),
            ("x11-forwarding", &mut permits.x11_forwarding),
            ("pty", &mut permits.pty),
            ("user-rc", &mut permits.user_rc),
        ] {
            if let Some((rest, on)) = flag(text, name, true) {
                *kept = on;
                return Ok(rest);
            }
        }
        for name in ["touch-required", "verify-required"] {
            if let Some((rest, _)) = flag(text, name, true) {
                return Ok(rest);
            }
        }
        if let Some(rest) = named(text, "command") {
            if self.command.is_some() {
                return Err(BadOptions("multiple \"command\" clauses"));
            }
            let (command, rest) = dequote(rest)?;
            self.command = Some(ForcedCommand::of(&command));
            return Ok(rest);
        }
        for (name, kept) in [
            ("principals", &mut self.principals),
            ("from", &mut self.from),
        ] {
            if let Some(rest) = named(text, name) {
                if kept.is_some() {
                    return Err(BadOptions("an option that may stand once stands twice"));
                }
                let (value, rest) = dequote(rest)?;
                *kept = Some(value);
                return Ok(rest);
            }
        }
        if let Some(rest) = named(text, "expiry-time") {
            let (value, rest) = dequote(rest)?;
            let expiry = Expiry::parse(&value).ok_or(BadOptions("invalid expiry-time"))?;
            if self
                .expiry
                .is_none_or(|known| expiry.seconds < known.seconds)
            {
                self.expiry = Some(expiry);
            }
            return Ok(rest);
        }
        for (name, is_valid) in CHECKED {
            if let Some(rest) = named(text, name) {
                let (value, rest) = dequote(rest)?;
                return if is_valid(&value) {
                    Ok(rest)
                } else {
                    Err(BadOptions("invalid value of a key option"))
                };
            }
        }
        // sshd notices an unknown option by what follows it not being a comma.
        Ok(text)
    }

    /// Whether some client address could satisfy `from=`.
    pub fn from_can_match(&self) -> bool {
        self.from
            .as_deref()
            .is_none_or(pattern::can_match_some_host)
    }
}

type IsValid = fn(&[u8]) -> bool;

/// Options whose value is only checked.
const CHECKED: [(&str, IsValid); 4] = [
    ("environment", is_environment),
    ("permitopen", is_host_and_port),
    ("permitlisten", is_listen_address),
    ("tunnel", is_tunnel),
];

fn at_end(text: &[u8]) -> bool {
    matches!(text.first(), None | Some(b' ' | b'\t'))
}

/// `opt_flag`: the rest behind the name, and whether it stands without `no-`.
fn flag<'a>(text: &'a [u8], name: &str, may_be_negated: bool) -> Option<(&'a [u8], bool)> {
    let negated = may_be_negated && starts_with(text, "no-");
    let bare = if negated { &text[3..] } else { text };
    starts_with(bare, name).then(|| (&bare[name.len()..], !negated))
}

/// `opt_match`: the rest behind `name=`.
fn named<'a>(text: &'a [u8], name: &str) -> Option<&'a [u8]> {
    starts_with(text, name).then(|| text[name.len()..].strip_prefix(b"="))?
}

fn starts_with(text: &[u8], prefix: &str) -> bool {
    text.get(..prefix.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
}

/// `opt_dequote`: a value in quotes, and the rest behind it.
fn dequote(text: &[u8]) -> Result<(Vec<u8>, &[u8]), BadOptions> {
    let text = text
        .strip_prefix(b"\"")
        .ok_or(BadOptions("missing start quote"))?;
    let mut value = Vec::new();
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        match byte {
            b'"' => return Ok((value, &text[at + 1..])),
            b'\\' if text.get(at + 1) == Some(&b'"') => {
                value.push(b'"');
                at += 2;
            }
            _ => {
                value.push(byte);
                at += 1;
            }
        }
    }
    Err(BadOptions("missing end quote"))
}

impl Expiry {
    /// `parse_absolute_time`: `YYYYMMDD[HHMM[SS]]`, since 9.1 with `Z` or `UTC` behind it.
    fn parse(text: &[u8]) -> Option<Self> {
        let ends_with = |suffix: &[u8]| {
            let at = text.len().checked_sub(suffix.len()).filter(|at| *at > 0)?;
            text[at..].eq_ignore_ascii_case(suffix).then(|| &text[..at])
        };
        let (digits, utc) = match ends_with(b"Z").or_else(|| ends_with(b"UTC")) {
            Some(digits) => (digits, true),
            None => (text, false),
        };
        if !matches!(digits.len(), 8 | 12 | 14) {
            return None;
        }
        let field = |range: std::ops::Range<usize>, least: i64, most: i64| -> Option<i64> {
            let Some(bytes) = digits.get(range) else {
                return Some(0);
            };
            // strptime(3) passes over blanks before a number.
            let number: i64 = std::str::from_utf8(bytes).ok()?.trim_start().parse().ok()?;
            (least..=most).contains(&number).then_some(number)
        };
        let (year, month, day) = (
            field(0..4, 0, 9999)?,
            field(4..6, 1, 12)?,
            field(6..8, 1, 31)?,
        );
        let (hour, minute, second) = (
            field(8..10, 0, 23)?,
            field(10..12, 0, 59)?,
            field(12..14, 0, 61)?,
        );
        let seconds =
            (days_from_civil(year, month) + day - 1) * 86_400 + hour * 3600 + minute * 60 + second;
        (seconds > 0).then_some(Self { seconds, utc })
    }
}

/// Days from 1970-01-01 to the first of a month (Howard Hinnant's algorithm).
fn days_from_civil(year: i64, month: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

fn is_environment(value: &[u8]) -> bool {
    let Some(at) = value.iter().position(|b| *b == b'=') else {
        return false;
    };
    at > 0
        && value[..at]
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || *b == b'_')
}

fn is_listen_address(value: &[u8]) -> bool {
    if value.contains(&b':') {
        is_host_and_port(value)
    } else {
        is_port(value)
    }
}

/// `hpdelim2` and a port: `host:port`, `[v6]:port`, `host/port`.
fn is_host_and_port(value: &[u8]) -> bool {
    let end = if value.starts_with(b"[") {
        value.iter().position(|b| *b == b']').map(|at| at + 1)
    } else {
        value.iter().position(|b| matches!(b, b':' | b'/'))
    };
    let Some(end) = end else { return false };
    end < 1025 && matches!(value.get(end), Some(b':' | b'/')) && is_port(&value[end + 1..])
}

/// `*`, a number from 1 to 65535, or what may be a name of /etc/services.
fn is_port(value: &[u8]) -> bool {
    match std::str::from_utf8(value).map(str::parse::<i64>) {
        Ok(Ok(number)) => (1..=65_535).contains(&number),
        Ok(Err(_)) => value == b"*" || value.first().is_some_and(u8::is_ascii_alphabetic),
        Err(_) => false,
    }
}

fn is_tunnel(value: &[u8]) -> bool {
    value.eq_ignore_ascii_case(b"any")
        || std::str::from_utf8(value)
            .ok()
            .and_then(|t| t.parse::<i64>().ok())
            .is_some_and(|n| (0..=0x7fff_fffd).contains(&n))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<KeyOptions, BadOptions> {
        KeyOptions::parse(text.as_bytes())
    }

    #[test]
    fn options_sshd_takes() {
        for text in [
            "",
            "no-pty",
            "NO-PTY,Command=\"x\"",
            "restrict,pty ssh-ed25519 AAAA",
            "restrict, ssh-ed25519",
            "command=\"echo \\\"hi, there\\\"\",no-pty",
            "environment=\"A=b # c\"",
            "from=\"10.0.0.0/8,!10.1.1.1\",permitopen=\"[::1]:80\",permitlisten=\"8080\",permitopen=\"h:*\"",
            "tunnel=\"0\",tunnel=\"any\"",
            "cert-authority,principals=\"a,b\"",
            "expiry-time=\"20300101\",expiry-time=\"202001011200\"",
            "no-touch-required,verify-required",
            ",no-pty,,no-pty",
        ] {
            assert!(parse(text).is_ok(), "{text}: {:?}", parse(text));
        }
        let options = parse("restrict,port-forwarding,command=\"secret\"").unwrap();
        assert!(
            options.permits.port_forwarding && !options.permits.pty && options.command.is_some()
        );
        assert!(!format!("{options:?}").contains("secret"));
    }

    #[test]
    fn options_sshd_refuses() {
        for text in [
            "unknown",
            "no-restrict",
            "restrictx",
            "no-pty,",
            "command=x",
            "command=\"x",
            "command=\"x\"y",
            "command=\"a\",command=\"b\"",
            "environment=\"A-B=c\"",
            "environment=\"AB\"",
            "permitopen=\"host\"",
            "permitopen=\"host:0\"",
            "permitopen=\"host:65536\"",
            "tunnel=\"-1\"",
            "expiry-time=\"2030\"",
            "expiry-time=\"20301301\"",
            "ssh-ed25519",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn expiry_times() {
        let expiry = |text: &str| {
            parse(&format!("expiry-time=\"{text}\""))
                .unwrap()
                .expiry
                .unwrap()
        };
        assert_eq!(
            expiry("20200229"),
            Expiry {
                seconds: 1_582_934_400,
                utc: false
            }
        );
        assert_eq!(
            expiry("202002291230Z"),
            Expiry {
                seconds: 1_582_979_400,
                utc: true
            }
        );
        assert_eq!(
            expiry("20200229123015utc"),
            Expiry {
                seconds: 1_582_979_415,
                utc: true
            }
        );
        let both = parse("expiry-time=\"20300101\",expiry-time=\"20200101\"").unwrap();
        assert_eq!(both.expiry.unwrap().seconds, 1_577_836_800);
    }
}
