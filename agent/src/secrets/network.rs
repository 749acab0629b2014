//! Networks: tunnels, dial-up, wireless.

use aws_lc_rs::agreement::{PrivateKey, X25519};

use super::format::ini::{self, Trailing, lines};
use super::format::{base64, pem};
use super::hollow;
use super::keys;
use super::kind::Kind;
use super::mark::PublicMark;
use super::note::{File, Mark, Note, Notes, Sighting, held, value};

/// A configuration of wg-quick(8), or of another program that has WireGuard's words in it.
pub fn wireguard(file: &File<'_>, notes: &mut Notes<'_>) {
    let mut any = false;
    for setting in ini::settings(file.bytes, Trailing::Comment) {
        if setting.is(&["privatekey"]) {
            any = true;
            wireguard_key(setting.section, setting.value, notes);
        } else if setting.is(&["presharedkey"]) {
            any = true;
            value(notes, Kind::WireguardKey, setting.key, setting.value);
        }
    }
    // A file of its own, as `wg genkey > privatekey` makes it. A public key looks the same.
    let public = memchr::memmem::find(&file.name().to_ascii_lowercase(), b"pub").is_some();
    if !any && !public && file.bytes.len() < 64 {
        wireguard_key(b"", file.bytes.trim_ascii(), notes);
    }
}

fn wireguard_key(label: &[u8], text: &[u8], notes: &mut Notes<'_>) {
    if let Some(why) = hollow::judge(text) {
        return notes(Note::PassedOver {
            kind: Kind::WireguardKey,
            label,
            why,
        });
    }
    let decoded = base64::decode(text).filter(|key| key.len() == 32 && text.len() == 44);
    let Some(key) = decoded else {
        if !label.is_empty() {
            notes(Note::Unclear {
                kind: Kind::WireguardKey,
                why: "a WireGuard key that is none",
            });
        }
        return;
    };
    let public = PrivateKey::from_private_key(&X25519, &key)
        .ok()
        .and_then(|key| key.compute_public_key().ok())
        .and_then(|public| <[u8; 32]>::try_from(public.as_ref()).ok());
    notes(Note::Held(Sighting {
        kind: Kind::WireguardKey,
        label,
        encrypted: false,
        key_type: ("x25519", 256),
        mark: match public {
            Some(public) => Mark::Public(PublicMark::Wireguard(public)),
            None => Mark::Value(&key),
        },
    }));
}

/// An OpenVPN configuration: keys inside it, and the files it names.
pub fn openvpn(file: &File<'_>, notes: &mut Notes<'_>) {
    keys::in_pem(file.bytes, Kind::OpenvpnKey, notes);
    static_keys(file.bytes, notes);
    let mut inside: Option<&[u8]> = None;
    let mut answers = 0;
    for line in lines(file.bytes).map(<[u8]>::trim_ascii) {
        if let Some(tag) = line
            .strip_prefix(b"<")
            .and_then(|rest| rest.strip_suffix(b">"))
        {
            inside = (!tag.starts_with(b"/")).then_some(tag);
            answers = 0;
            continue;
        }
        if inside == Some(b"auth-user-pass") {
            answers += 1;
            // The user's name, then the password.
            if answers == 2 {
                value(notes, Kind::OpenvpnPassword, b"", line);
            }
            continue;
        }
        if inside.is_some() || matches!(line.first(), None | Some(b'#' | b';')) {
            continue;
        }
        let mut words = line
            .split(u8::is_ascii_whitespace)
            .filter(|word| !word.is_empty());
        let (Some(option), Some(path)) = (words.next(), words.next()) else {
            continue;
        };
        let path = ini::unquoted(path, Trailing::Nothing);
        match option {
            b"key" | b"secret" | b"tls-auth" | b"tls-crypt" | b"tls-crypt-v2" | b"pkcs12" => {
                notes(Note::Refers {
                    path,
                    to: openvpn_key,
                });
            }
            b"auth-user-pass" | b"askpass" => notes(Note::Refers {
                path,
                to: openvpn_answers,
            }),
            _ => {}
        }
    }
}

fn openvpn_key(file: &File<'_>, notes: &mut Notes<'_>) {
    keys::recognise(file.bytes, Kind::OpenvpnKey, notes);
    static_keys(file.bytes, notes);
}

/// `-----BEGIN OpenVPN Static key V1-----`: 256 bytes in hexadecimal.
fn static_keys(text: &[u8], notes: &mut Notes<'_>) {
    for block in pem::blocks(text) {
        if block.label.starts_with(b"OpenVPN ") && block.label != b"OpenVPN tls-crypt-v2 server key"
        {
            let body = block.base64().trim_ascii();
            match body.len() >= 64 && block.ended {
                true => notes(held(Kind::OpenvpnKey, b"", body)),
                false => notes(Note::Unclear {
                    kind: Kind::OpenvpnKey,
                    why: "a static key that is cut short",
                }),
            }
        }
    }
}

/// A file of answers: the user's name and the password, or the password alone.
pub fn openvpn_answers(file: &File<'_>, notes: &mut Notes<'_>) {
    let answers: Vec<&[u8]> = lines(file.bytes).map(<[u8]>::trim_ascii).collect();
    let password = match answers.as_slice() {
        [_, password, ..] if !password.is_empty() => password,
        [password, ..] => password,
        [] => return,
    };
    value(notes, Kind::OpenvpnPassword, b"", password);
}

/// `ipsec.secrets`: `who : PSK "…"`, and the files of keys it names.
pub fn ipsec(file: &File<'_>, notes: &mut Notes<'_>) {
    for line in lines(file.bytes).map(<[u8]>::trim_ascii) {
        if line.starts_with(b"#") {
            continue;
        }
        // The colon stands alone, addresses of IPv6 have others.
        let Some(colon) = line
            .windows(2)
            .position(|pair| pair[0] == b':' && pair[1].is_ascii_whitespace())
        else {
            continue;
        };
        let (who, rest) = (line[..colon].trim_ascii(), line[colon + 1..].trim_ascii());
        let end = rest
            .iter()
            .position(u8::is_ascii_whitespace)
            .unwrap_or(rest.len());
        let (kind, rest) = (&rest[..end], rest[end..].trim_ascii());
        match kind {
            b"PSK" | b"EAP" | b"XAUTH" | b"NTLM" | b"PIN" => {
                value(
                    notes,
                    Kind::IpsecSecret,
                    who,
                    ini::unquoted(rest, Trailing::Comment),
                );
            }
            b"RSA" | b"ECDSA" | b"P12" | b"PKCS8" => {
                // A file, and behind it perhaps its passphrase.
                if let Some(open) = rest.iter().position(|b| *b == b'"') {
                    value(
                        notes,
                        Kind::IpsecSecret,
                        who,
                        ini::unquoted(&rest[open..], Trailing::Comment),
                    );
                }
            }
            _ => {}
        }
    }
}

/// `chap-secrets` and `pap-secrets` (pppd(8)): client, server, secret, addresses.
pub fn ppp(file: &File<'_>, notes: &mut Notes<'_>) {
    for line in lines(file.bytes).map(<[u8]>::trim_ascii) {
        if line.starts_with(b"#") {
            continue;
        }
        let mut words = quoted_words(line);
        if let (Some(client), Some(_server), Some(secret)) =
            (words.next(), words.next(), words.next())
        {
            value(notes, Kind::PppSecret, client, secret);
        }
    }
}

/// Words separated by blanks, in double quotes where they hold some.
pub(super) fn quoted_words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = line;
    std::iter::from_fn(move || {
        rest = rest.trim_ascii_start();
        let inside = match *rest.first()? {
            b'"' => Some(&rest[1..]),
            // Only a quote is worth a look at all that follows.
            _ => None,
        };
        let quoted = inside.and_then(|inside| {
            let end = memchr::memchr(b'"', inside)?;
            Some((&inside[..end], &inside[end + 1..]))
        });
        let (word, after) = quoted.unwrap_or_else(|| {
            let end = rest.iter().position(u8::is_ascii_whitespace);
            rest.split_at(end.unwrap_or(rest.len()))
        });
        rest = after;
        Some(word)
    })
}

/// NetworkManager's connections (nm-settings-keyfile(5)).
pub fn network_manager(file: &File<'_>, notes: &mut Notes<'_>) {
    let names = [
        "psk",
        "password",
        "private-key-password",
        "wep-key0",
        "leap-password",
        "pin",
        "secret",
        "xauth-password",
        "ipsec-psk",
        "cert-pass",
        "http-proxy-password",
        "gateway-secret",
    ];
    for setting in ini::settings(file.bytes, Trailing::Nothing) {
        if setting.section == b"wireguard" && setting.is(&["private-key"]) {
            wireguard_key(setting.section, setting.value, notes);
        } else if setting.is(&["preshared-key"])
            || (setting.is(&names) && !setting.key.ends_with(b"-flags"))
        {
            value(
                notes,
                Kind::NetworkManagerSecret,
                setting.section,
                setting.value,
            );
        }
    }
}

/// `wpa_supplicant.conf`.
pub fn wpa(file: &File<'_>, notes: &mut Notes<'_>) {
    let mut network: &[u8] = b"";
    for setting in ini::settings(file.bytes, Trailing::Nothing) {
        if setting.is(&["ssid"]) {
            network = setting.value;
        } else if setting.is(&[
            "psk",
            "password",
            "sae_password",
            "private_key_passwd",
            "wep_key0",
        ]) {
            value(notes, Kind::WpaPassphrase, network, setting.value);
        }
    }
}
