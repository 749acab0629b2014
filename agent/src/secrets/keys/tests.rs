//! Keys that are made up here; those of the real tools are in `tests/secret_keys_agreement.rs`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::secrets::tests::say;

fn pem(label: &str, bytes: &[u8]) -> String {
    let body = STANDARD.encode(bytes);
    format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
}

fn strings(parts: &[&[u8]]) -> Vec<u8> {
    let mut blob = Vec::new();
    parts.iter().for_each(|part| push_string(&mut blob, part));
    blob
}

fn openssh(cipher: &str, private: &[u8]) -> (String, KeyFingerprint) {
    let public = strings(&[b"ssh-ed25519", &[7; 32]]);
    let mut bytes = b"openssh-key-v1\0".to_vec();
    bytes.extend(strings(&[cipher.as_bytes(), b"bcrypt", b"salt"]));
    bytes.extend([0, 0, 0, 1]);
    bytes.extend(strings(&[&public, private]));
    (
        pem("OPENSSH PRIVATE KEY", &bytes),
        KeyFingerprint::of_blob(&public),
    )
}

fn at_home(bytes: impl AsRef<[u8]>) -> Vec<String> {
    say(in_home, "/home/alice/.ssh/id", bytes.as_ref())
}

#[test]
fn an_encrypted_openssh_key_tells_its_public_half() {
    let (text, public) = openssh("aes256-ctr", b"sealed");
    assert_eq!(at_home(text), [format!("private_key ={public} sealed")]);
    let (text, public) = openssh("none", &[1, 2, 3, 4, 1, 2, 3, 4, 0]);
    assert_eq!(at_home(text), [format!("private_key ={public}")]);
    let (text, _) = openssh("none", &[1, 2, 3, 4, 1, 2, 3, 5, 0]);
    let damaged = "? private_key a private key in PEM that is damaged";
    assert_eq!(at_home(text), [damaged]);
}

#[test]
fn whose_key_it_is_depends_on_where_it_lies() {
    let (text, public) = openssh("none", &[1, 2, 3, 4, 1, 2, 3, 4, 0]);
    let text = text.as_bytes();
    for (read, path, kind) in [
        (
            of_sshd as crate::secrets::recognise::Recogniser,
            "/etc/ssh/ssh_host_ed25519_key",
            "ssh_host_key",
        ),
        (of_sshd, "/etc/ssh/deploy", "private_key"),
        (for_tls, "/etc/nginx/site.key", "tls_private_key"),
    ] {
        assert_eq!(say(read, path, text), [format!("{kind} ={public}")]);
    }
}

#[test]
fn what_only_looks_like_a_key_is_none() {
    let cut = "? private_key a private key in PEM that is cut short or no base64";
    let unknown = "? private_key a private key of an unknown kind";
    let damaged = "? private_key a private key in PEM that is damaged";
    for (text, want) in [
        (
            "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA...\n-----END RSA PRIVATE KEY-----\n"
                .to_owned(),
            vec![cut],
        ),
        (
            "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2Vw\n".to_owned(),
            vec![cut],
        ),
        (pem("RSA PRIVATE KEY", b"0\x03\x02\x01\x00"), vec![damaged]),
        (pem("HSM PRIVATE KEY", b"0\x03\x02\x01\x00"), vec![unknown]),
        (pem("PUBLIC KEY", b"0\x03\x02\x01\x00"), vec![]),
        (pem("CERTIFICATE", b"0\x03\x02\x01\x00"), vec![]),
        (
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAcHBwcH x".to_owned(),
            vec![],
        ),
        ("0\u{3}\u{2}\u{1}\0".to_owned(), vec![]),
    ] {
        assert_eq!(at_home(&text), want, "{text}");
    }
}

#[test]
fn containers_of_keys() {
    let sealed = |bytes: &[u8]| {
        at_home(bytes)
            .iter()
            .map(|s| s.split('=').next().unwrap_or("").to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        sealed(&[0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2]),
        ["java_keystore "]
    );
    assert_eq!(
        sealed(&[0x03, 0xd9, 0xa2, 0x9a, 0x67, 0xfb]),
        ["password_database "]
    );
    let pfx = [
        0x30, 0x12, 0x02, 0x01, 0x03, 0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d,
        0x01, 0x07, 0x01, 0x05, 0x00,
    ];
    assert_eq!(sealed(&pfx), ["pkcs12 "]);
}

#[test]
fn a_putty_key() {
    let public = strings(&[b"ssh-ed25519", &[7; 32]]);
    let lines = STANDARD.encode(&public);
    let (first, second) = lines.split_at(64);
    let ppk = |encryption: &str| {
        format!(
            "PuTTY-User-Key-File-3: ssh-ed25519\r\nEncryption: {encryption}\r\nComment: a: b\r\nPublic-Lines: 2\r\n{first}\r\n{second}\r\n\
             Private-Lines: 1\r\nAAAA\r\nPrivate-MAC: 00\r\n"
        )
    };
    let fingerprint = KeyFingerprint::of_blob(&public);
    assert_eq!(
        at_home(ppk("none")),
        [format!("private_key ={fingerprint}")]
    );
    assert_eq!(
        at_home(ppk("aes256-cbc")),
        [format!("private_key ={fingerprint} sealed")]
    );
    let damaged = ["? private_key a PuTTY key that is damaged or of an unknown version"];
    assert_eq!(at_home(ppk("none").replace("File-3", "File-9")), damaged);
    assert_eq!(at_home(&ppk("none")[..120]), damaged);
}
