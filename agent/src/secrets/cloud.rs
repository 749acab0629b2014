//! What the command lines of clouds keep in a home.

use std::ops::ControlFlow;

use super::format::ini::{self, Trailing};
use super::format::{json, yaml};
use super::keys;
use super::kind::Kind;
use super::note::{File, Note, Notes, value};

/// `~/.aws/credentials` and `~/.aws/config`.
pub fn aws(file: &File<'_>, notes: &mut Notes<'_>) {
    for setting in ini::settings(file.bytes, Trailing::Comment) {
        let profile = setting
            .section
            .strip_prefix(b"profile ")
            .unwrap_or(setting.section);
        let kind = match () {
            () if setting.is(&["aws_secret_access_key"]) => Kind::AwsAccessKey,
            () if setting.is(&["aws_session_token", "aws_security_token"]) => Kind::AwsSession,
            () => continue,
        };
        value(notes, kind, profile, setting.value);
    }
}

/// `~/.aws/sso/cache/*.json` and `~/.aws/cli/cache/*.json`.
pub fn aws_cache(file: &File<'_>, notes: &mut Notes<'_>) {
    let names = [
        "accessToken",
        "refreshToken",
        "clientSecret",
        "SecretAccessKey",
    ];
    in_json(file, notes, |keys, text, notes| {
        let last = keys.last().copied().unwrap_or_default();
        if names.iter().any(|name| last == name.as_bytes()) {
            value(notes, Kind::AwsSession, last, text);
        }
    });
}

/// Google's key files: a service account's, or a user's as `gcloud auth application-default login`
/// writes it. Any other JSON file holds nothing.
pub fn google(file: &File<'_>, notes: &mut Notes<'_>) {
    match json::text_at(file.bytes, &["type"])
        .as_deref()
        .map(Vec::as_slice)
    {
        Some(b"service_account") => {
            let account = json::text_at(file.bytes, &["client_email"]);
            let account = account.as_deref().map_or(&b""[..], Vec::as_slice);
            in_json(file, notes, |keys, text, notes| {
                if keys == [b"private_key"] {
                    service_account_key(account, text, notes);
                }
            });
        }
        Some(
            b"authorized_user"
            | b"impersonated_service_account"
            | b"external_account_authorized_user",
        ) => {
            in_json(file, notes, |keys, text, notes| {
                if keys.last() == Some(&&b"refresh_token"[..]) {
                    value(notes, Kind::GcpUserCredential, b"", text);
                }
            });
        }
        _ => {}
    }
}

/// The key stands in it as PEM, so its public half can be told.
fn service_account_key(account: &[u8], pem: &[u8], notes: &mut Notes<'_>) {
    let mut seen = false;
    keys::in_pem(pem, Kind::GcpServiceAccountKey, &mut |note| {
        seen = true;
        notes(match note {
            Note::Held(sighting) => Note::Held(super::note::Sighting {
                label: account,
                ..sighting
            }),
            other => other,
        });
    });
    if !seen {
        value(notes, Kind::GcpServiceAccountKey, account, pem);
    }
}

/// `~/.config/gcloud/credentials.db`: an SQLite file whose rows hold JSON texts. Rows larger than
/// a page are not put together again; Google's are not.
pub fn google_database(file: &File<'_>, notes: &mut Notes<'_>) {
    if !file.bytes.starts_with(b"SQLite format 3\0") {
        return;
    }
    let mut from = 0;
    while let Some(found) = memchr::memmem::find(&file.bytes[from..], b"{\"") {
        let start = from + found;
        from = start + 2;
        // The account's name is the column before, an address of a few hundred bytes at most.
        let before = &file.bytes[start.saturating_sub(320)..start];
        let name = before.rsplit(|b| !b.is_ascii_graphic()).next();
        let name = name.unwrap_or_default();
        let _ = json::scalars(&file.bytes[start..], |keys, text| {
            match keys.last().copied() {
                Some(b"refresh_token") => value(notes, Kind::GcpUserCredential, name, text),
                Some(b"private_key") => service_account_key(name, text, notes),
                _ => {}
            }
            ControlFlow::Continue(())
        });
    }
}

/// `~/.azure`: the token caches of both generations, and service principals.
pub fn azure(file: &File<'_>, notes: &mut Notes<'_>) {
    let principals = file.name().starts_with(b"service_principal");
    in_json(file, notes, |keys, text, notes| match keys {
        [kind @ (b"RefreshToken" | b"AccessToken"), _, b"secret"] => {
            value(notes, Kind::AzureToken, kind, text);
        }
        [b"", b"client_secret" | b"secret"] if principals => {
            value(notes, Kind::AzureServicePrincipal, b"", text);
        }
        [b"", kind @ (b"refreshToken" | b"accessToken")] => {
            value(notes, Kind::AzureToken, kind, text);
        }
        _ => {}
    });
}

/// `~/.oci/config`.
pub fn oracle(file: &File<'_>, notes: &mut Notes<'_>) {
    for setting in ini::settings(file.bytes, Trailing::Comment) {
        if setting.is(&["pass_phrase"]) {
            value(notes, Kind::OciPassphrase, setting.section, setting.value);
        } else if setting.is(&["key_file"]) {
            notes(Note::Refers {
                path: setting.value,
                to: keys::in_home,
            });
        }
    }
}

/// `clouds.yaml` and `secure.yaml`.
pub fn openstack(file: &File<'_>, notes: &mut Notes<'_>) {
    yaml::scalars(file.bytes, |entry| {
        for secret in ["password", "application_credential_secret", "token"] {
            if entry.is_at(&["clouds", "*", "auth", secret]) {
                value(notes, Kind::OpenstackPassword, entry.keys[1], entry.value);
            }
        }
    });
}

/// doctl's `config.yaml`.
pub fn digitalocean(file: &File<'_>, notes: &mut Notes<'_>) {
    yaml::scalars(file.bytes, |entry| {
        if entry.is_at(&["access-token"]) {
            value(notes, Kind::DigitaloceanToken, b"", entry.value);
        } else if entry.is_at(&["auth-contexts", "*"]) && entry.value != b"true" {
            value(notes, Kind::DigitaloceanToken, entry.keys[1], entry.value);
        }
    });
}

/// hcloud's `cli.toml`.
pub fn hetzner(file: &File<'_>, notes: &mut Notes<'_>) {
    let mut context: &[u8] = b"";
    for setting in ini::settings(file.bytes, Trailing::Comment) {
        if setting.is(&["name"]) {
            context = setting.value;
        } else if setting.is(&["token"]) {
            value(notes, Kind::HcloudToken, context, setting.value);
        }
    }
}

/// linode-cli's configuration.
pub fn linode(file: &File<'_>, notes: &mut Notes<'_>) {
    for setting in ini::settings(file.bytes, Trailing::Comment) {
        if setting.is(&["token"]) {
            value(notes, Kind::LinodeToken, setting.section, setting.value);
        }
    }
}

/// flyctl's `config.yml`.
pub fn fly(file: &File<'_>, notes: &mut Notes<'_>) {
    yaml::scalars(file.bytes, |entry| {
        if entry.is_at(&["access_token"]) {
            value(notes, Kind::FlyToken, b"", entry.value);
        }
    });
}

/// wrangler's `default.toml`, the `.ini` files of certbot's plugin, and cloudflared's credentials.
pub fn cloudflare(file: &File<'_>, notes: &mut Notes<'_>) {
    if file.name().ends_with(b".json") {
        in_json(file, notes, |keys, text, notes| {
            if keys == [b"TunnelSecret"] {
                value(notes, Kind::CloudflareToken, b"TunnelSecret", text);
            }
        });
        return;
    }
    let names = [
        "oauth_token",
        "refresh_token",
        "api_token",
        "dns_cloudflare_api_token",
        "dns_cloudflare_api_key",
    ];
    for setting in ini::settings(file.bytes, Trailing::Comment) {
        if setting.is(&names) {
            value(notes, Kind::CloudflareToken, setting.key, setting.value);
        }
    }
}

/// `.s3cfg` and `.boto`.
pub fn object_store(file: &File<'_>, notes: &mut Notes<'_>) {
    let names = [
        "secret_key",
        "access_token",
        "gs_secret_access_key",
        "aws_secret_access_key",
        "gs_oauth2_refresh_token",
        "gpg_passphrase",
    ];
    for setting in ini::settings(file.bytes, Trailing::Nothing) {
        if setting.is(&names) {
            value(notes, Kind::ObjectStoreKey, setting.key, setting.value);
        }
    }
}

/// `config.json` of MinIO's `mc`.
pub fn minio(file: &File<'_>, notes: &mut Notes<'_>) {
    in_json(file, notes, |keys, text, notes| {
        if let [b"aliases" | b"hosts", alias, b"secretKey"] = keys {
            value(notes, Kind::ObjectStoreKey, alias, text);
        }
    });
}

/// `rclone.conf`.
pub fn rclone(file: &File<'_>, notes: &mut Notes<'_>) {
    if memchr::memmem::find(file.bytes, b"RCLONE_ENCRYPT_V0:").is_some() {
        notes(super::note::sealed(Kind::RcloneRemote, b"", file.bytes));
        return;
    }
    let names = [
        "pass",
        "password",
        "password2",
        "secret_access_key",
        "token",
        "client_secret",
        "service_account_credentials",
        "key",
        "bearer_token",
        "sas_url",
        "api_password",
        "application_key",
        "secret_key",
        "key_file_pass",
    ];
    for setting in ini::settings(file.bytes, Trailing::Nothing) {
        if setting.is(&names) {
            value(notes, Kind::RcloneRemote, setting.section, setting.value);
        }
    }
}

/// Walks a JSON file; one that is broken, or none, is said to be unclear by nobody: what stands
/// before the mistake is read.
pub(super) fn in_json(
    file: &File<'_>,
    notes: &mut Notes<'_>,
    mut each: impl FnMut(json::Keys<'_, '_>, &[u8], &mut Notes<'_>),
) {
    let _ = json::scalars(file.bytes, |keys, text| {
        each(keys, text, notes);
        ControlFlow::Continue(())
    });
}
