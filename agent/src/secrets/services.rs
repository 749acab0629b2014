//! Passwords with which services of the host log in to others.

use super::containers::whole;
use super::format::ini::{self, Trailing, lines};
use super::kind::Kind;
use super::network::quoted_words;
use super::note::{File, Note, Notes, value};

/// A credentials file of mount.cifs(8), or of smbclient(1).
pub fn smb(file: &File<'_>, notes: &mut Notes<'_>) {
    for setting in ini::settings(file.bytes, Trailing::Nothing) {
        if setting.is(&["password", "pass"]) {
            value(notes, Kind::SmbPassword, b"", setting.value);
        }
    }
}

/// fstab(5): passwords among the options, and the files they name.
pub fn fstab(file: &File<'_>, notes: &mut Notes<'_>) {
    for line in lines(file.bytes).map(<[u8]>::trim_ascii) {
        if line.starts_with(b"#") {
            continue;
        }
        let mut words = line
            .split(u8::is_ascii_whitespace)
            .filter(|word| !word.is_empty());
        let source = words.next().unwrap_or(b"");
        let options = words.nth(2).unwrap_or(b"");
        for option in options.split(|b| *b == b',') {
            let Some(equals) = option.iter().position(|b| *b == b'=') else {
                continue;
            };
            let text = &option[equals + 1..];
            match &option[..equals] {
                b"password" | b"pass" => value(notes, Kind::SmbPassword, source, text),
                b"credentials" | b"cred" => notes(Note::Refers {
                    path: text,
                    to: smb,
                }),
                b"secret" => value(notes, Kind::CephKey, source, text),
                b"secretfile" => notes(Note::Refers {
                    path: text,
                    to: ceph,
                }),
                _ => {}
            }
        }
    }
}

/// A Ceph keyring, or a file that holds one key.
pub fn ceph(file: &File<'_>, notes: &mut Notes<'_>) {
    let mut keys = ini::settings(file.bytes, Trailing::Comment)
        .filter(|s| s.is(&["key"]))
        .peekable();
    if keys.peek().is_none() {
        return whole(file, Kind::CephKey, notes);
    }
    for setting in keys {
        value(notes, Kind::CephKey, setting.section, setting.value);
    }
}

/// `key "NAME" { algorithm …; secret "…"; };` of BIND.
pub fn tsig(file: &File<'_>, notes: &mut Notes<'_>) {
    let mut name: &[u8] = b"";
    for line in lines(file.bytes) {
        let line = line.trim_ascii();
        if line.starts_with(b"#") || line.starts_with(b"//") {
            continue;
        }
        let mut words = line
            .split(|b| b.is_ascii_whitespace() || b"{};".contains(b))
            .filter(|word| !word.is_empty())
            .map(|word| ini::unquoted(word, Trailing::Nothing));
        while let Some(word) = words.next() {
            match word {
                b"key" => name = words.next().unwrap_or(b""),
                b"secret" => value(notes, Kind::TsigKey, name, words.next().unwrap_or(b"")),
                _ => {}
            }
        }
    }
}

/// `.msmtprc`, `.fetchmailrc`, `.mbsyncrc` and their relatives: `password …` in some spelling.
pub fn mail_client(file: &File<'_>, notes: &mut Notes<'_>) {
    let mut account: &[u8] = b"";
    for line in lines(file.bytes).map(<[u8]>::trim_ascii) {
        if matches!(line.first(), None | Some(b'#')) {
            continue;
        }
        let mut words = quoted_words(line);
        while let Some(word) = words.next() {
            match word.to_ascii_lowercase().as_slice() {
                b"account" | b"imapaccount" | b"poll" | b"server" | b"host" | b"hostname" => {
                    account = words.next().unwrap_or(b"");
                }
                b"password" | b"pass" | b"passwd" => {
                    let text = words.next().unwrap_or(b"");
                    value(
                        notes,
                        Kind::MailPassword,
                        account,
                        text.strip_suffix(b",").unwrap_or(text),
                    );
                }
                b"passwordeval" | b"passcmd" => break,
                _ => {}
            }
        }
    }
}

/// Postfix' `sasl_passwd`: a server and `user:password`; Exim's `passwd.client`, all with colons.
pub fn mail_relay(file: &File<'_>, notes: &mut Notes<'_>) {
    for line in lines(file.bytes).map(<[u8]>::trim_ascii) {
        if matches!(line.first(), None | Some(b'#')) {
            continue;
        }
        match line.iter().position(u8::is_ascii_whitespace) {
            Some(blank) => {
                let login = line[blank..].trim_ascii();
                if let Some(colon) = login.iter().position(|b| *b == b':') {
                    value(
                        notes,
                        Kind::MailPassword,
                        &line[..blank],
                        &login[colon + 1..],
                    );
                }
            }
            None => {
                let parts: Vec<&[u8]> = line.splitn(3, |b| *b == b':').collect();
                if let [host, _user, password] = parts.as_slice() {
                    value(notes, Kind::MailPassword, host, password);
                }
            }
        }
    }
}

/// sssd.conf(5), nslcd.conf(5), ldap.conf(5): the password to bind with.
pub fn directory(file: &File<'_>, notes: &mut Notes<'_>) {
    for setting in ini::settings(file.bytes, Trailing::Comment) {
        if setting.is(&["ldap_default_authtok"]) {
            value(
                notes,
                Kind::DirectoryPassword,
                setting.section,
                setting.value,
            );
        }
    }
    for line in lines(file.bytes).map(<[u8]>::trim_ascii) {
        let mut words = line
            .split(u8::is_ascii_whitespace)
            .filter(|word| !word.is_empty());
        if let (Some(b"bindpw" | b"rootpwmodpw"), Some(password)) = (words.next(), words.next()) {
            value(notes, Kind::DirectoryPassword, b"", password);
        }
    }
}

/// `ldap.secret` and its relatives: the password and nothing else.
pub fn directory_password(file: &File<'_>, notes: &mut Notes<'_>) {
    whole(file, Kind::DirectoryPassword, notes);
}
