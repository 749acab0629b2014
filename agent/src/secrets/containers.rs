//! Containers and what orchestrates them: registries, clusters, vaults.

use super::cloud::in_json;
use super::format::ini::{self, Trailing};
use super::format::{base64, yaml};
use super::hollow;
use super::keys;
use super::kind::Kind;
use super::note::{File, Note, Notes, Sighting, value};

/// `~/.docker/config.json`, `.dockercfg`, and `auth.json` of podman and its relatives.
pub fn docker(file: &File<'_>, notes: &mut Notes<'_>) {
    in_json(file, notes, |keys, text, notes| {
        let (registry, name) = match keys {
            [b"auths", registry, name] => (*registry, *name),
            // The first form had no `auths` around it.
            [registry, name] if file.name() == b".dockercfg" => (*registry, *name),
            _ => return,
        };
        match name {
            b"auth" => {
                // base64 of `user:password`; what stands there for nothing is judged as such.
                let decoded = base64::decode(text);
                let password = decoded.as_ref().and_then(|pair| {
                    let colon = pair.iter().position(|b| *b == b':')?;
                    Some(pair[colon + 1..].trim_ascii_end())
                });
                value(
                    notes,
                    Kind::DockerRegistryAuth,
                    registry,
                    password.unwrap_or(text),
                );
            }
            b"identitytoken" | b"registrytoken" | b"password" => {
                value(notes, Kind::DockerRegistryAuth, registry, text);
            }
            _ => {}
        }
    });
}

/// A kubeconfig, wherever it lies.
pub fn kubeconfig(file: &File<'_>, notes: &mut Notes<'_>) {
    let mut names: Vec<(u32, Vec<u8>)> = Vec::new();
    yaml::scalars(file.bytes, |entry| {
        if entry.is_at(&["users", "*", "name"]) {
            names.push((entry.element, entry.value.to_vec()));
        }
    });
    yaml::scalars(file.bytes, |entry| {
        // In the order of the file.
        let at = names.binary_search_by_key(&entry.element, |(element, _)| *element);
        let user = at.map_or(&b""[..], |at| &names[at].1);
        let [b"users", _, b"user", rest @ ..] = entry.keys else {
            return;
        };
        match rest {
            [b"token" | b"password"]
            | [
                b"auth-provider",
                b"config",
                b"id-token" | b"refresh-token" | b"access-token" | b"client-secret",
            ] => {
                value(notes, Kind::KubeconfigCredential, user, entry.value);
            }
            [b"client-key-data"] => client_key(user, entry.value, notes),
            [b"client-key"] => notes(Note::Refers {
                path: entry.value,
                to: keys::for_tls,
            }),
            [b"tokenFile"] => notes(Note::Refers {
                path: entry.value,
                to: token_file,
            }),
            _ => {}
        }
    });
}

fn client_key(user: &[u8], encoded: &[u8], notes: &mut Notes<'_>) {
    let mut seen = false;
    if let Some(pem) = base64::decode(encoded) {
        keys::in_pem(&pem, Kind::KubeconfigCredential, &mut |note| {
            seen = true;
            notes(match note {
                Note::Held(sighting) => Note::Held(Sighting {
                    label: user,
                    ..sighting
                }),
                other => other,
            });
        });
    }
    if !seen {
        // Redacted, as `kubectl config view` prints it, or not what it says.
        match hollow::judge(encoded) {
            Some(why) => notes(Note::PassedOver {
                kind: Kind::KubeconfigCredential,
                label: user,
                why,
            }),
            None => notes(Note::Unclear {
                kind: Kind::KubeconfigCredential,
                why: "a client key in a kubeconfig that cannot be decoded",
            }),
        }
    }
}

/// A file that holds a cluster's token and nothing else.
fn token_file(file: &File<'_>, notes: &mut Notes<'_>) {
    whole(file, Kind::KubeconfigCredential, notes);
}

/// `~/.vault-token`.
pub fn vault(file: &File<'_>, notes: &mut Notes<'_>) {
    whole(file, Kind::VaultToken, notes);
}

/// A file that holds one secret on one line and nothing else.
pub(super) fn whole(file: &File<'_>, kind: Kind, notes: &mut Notes<'_>) {
    let text = file.bytes.trim_ascii();
    match text.len() <= 8192 && !text.contains(&b'\n') && !text.contains(&0) {
        true => value(notes, kind, b"", text),
        false => notes(Note::Unclear {
            kind,
            why: "more than the one line that was looked for",
        }),
    }
}

/// `~/.terraform.d/credentials.tfrc.json`.
pub fn terraform(file: &File<'_>, notes: &mut Notes<'_>) {
    in_json(file, notes, |keys, text, notes| {
        if let [b"credentials", host, b"token"] = keys {
            value(notes, Kind::TerraformToken, host, text);
        }
    });
}

/// `~/.terraformrc`: `credentials "HOST" { token = "…" }`.
pub fn terraform_rc(file: &File<'_>, notes: &mut Notes<'_>) {
    let mut host: &[u8] = b"";
    for line in ini::lines(file.bytes).map(<[u8]>::trim_ascii) {
        let mut rest = line;
        if let Some(head) = line.strip_prefix(b"credentials") {
            host = head.split(|b| *b == b'"').nth(1).unwrap_or(b"");
            // The block may stand on one line.
            rest = head
                .split(|b| *b == b'{')
                .nth(1)
                .unwrap_or(b"")
                .trim_ascii();
        }
        let rest = rest.strip_suffix(b"}").unwrap_or(rest).trim_ascii();
        if let Some(rest) = rest.strip_prefix(b"token").map(<[u8]>::trim_ascii_start)
            && let Some(text) = rest.strip_prefix(b"=")
        {
            let text = ini::unquoted(text.trim_ascii(), Trailing::Comment);
            value(notes, Kind::TerraformToken, host, text);
        }
    }
}
