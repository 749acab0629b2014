//! Passwords that clients of databases keep.

use super::format::ini::{self, Trailing, lines};
use super::kind::Kind;
use super::note::{File, Notes, held, value};

/// `.pgpass`: `host:port:database:user:password`, `:` and `\` after a `\`.
pub fn pgpass(file: &File<'_>, notes: &mut Notes<'_>) {
    for line in lines(file.bytes) {
        if line.starts_with(b"#") {
            continue;
        }
        let mut colons = Vec::new();
        let mut escaped = false;
        for (at, byte) in line.iter().enumerate() {
            if *byte == b':' && !escaped {
                colons.push(at);
            }
            escaped = *byte == b'\\' && !escaped;
        }
        // A password may hold colons as they are, so the fourth begins it.
        let Some(password) = colons.get(3).map(|at| &line[at + 1..]) else {
            continue;
        };
        let host = &line[..colons[0]];
        value(notes, Kind::PostgresPassword, host, password);
    }
}

/// MySQL's and MariaDB's option files.
pub fn mysql(file: &File<'_>, notes: &mut Notes<'_>) {
    for setting in ini::settings(file.bytes, Trailing::Comment) {
        if setting.is(&["password", "password1", "loose-password", "ssl-password"])
            && !setting.value.is_empty()
        {
            value(notes, Kind::MysqlPassword, setting.section, setting.value);
        }
    }
}

/// `.mylogin.cnf`: four zeros, a key, and with it what it hides.
pub fn mysql_login_path(file: &File<'_>, notes: &mut Notes<'_>) {
    if file.bytes.starts_with(&[0; 4]) && file.bytes.len() > 24 {
        notes(held(Kind::MysqlLoginPath, b"", file.bytes));
    }
}
