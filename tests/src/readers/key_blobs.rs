//! Public key blobs, certificates, key revocation lists.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rescind_agent::sshd::authorized_keys::KeyFile;
use rescind_agent::sshd::certificate::Certificate;
use rescind_agent::sshd::key_blob::{BlobKey, decode_base64};
use rescind_agent::sshd::key_line::LineKey;
use rescind_agent::sshd::krl::MAGIC;
use rescind_agent::sshd::release::Release;
use rescind_agent::sshd::revoked_keys::{Revocation, RevokedKeys};
use rescind_protocol::name::KeyFingerprint;

use super::Target;
use super::told::is_told_safely;

pub const TARGET: Target = Target {
    name: "key_blobs",
    read,
    words: &[
        "\0\0\0\x0bssh-ed25519",
        "\0\0\0\x07ssh-rsa",
        "\0\0\0\x07ssh-dss",
        "\0\0\0\x08nistp256",
        "\0\0\0\x13ecdsa-sha2-nistp256",
        "\0\0\0\x1assh-ed25519-cert-v01@openssh.com",
        "\0\0\0\x04ssh:",
        "\0\0\0\x1ask-ssh-ed25519@openssh.com",
        "\0\0\0\x03\x01\0\x01",
        "\0\0\0\x20",
        "\0\0\0\x14",
        "\0\0\0\0",
        "\0\0\0\x01",
        "\x01\0\0",
        "\x02\0\0",
        "\x05\0\0\0\x24\0\0\0\x20",
        "SSHKRL\n\0",
        "ED25519",
    ],
    made,
    rooms: &[],
};

fn read(bytes: &[u8]) {
    blob(bytes);
    certificate(bytes);
    let file = match bytes.starts_with(MAGIC) {
        true => bytes.to_vec(),
        // A change to the magic leads nowhere.
        false => [MAGIC, &[0, 0, 0, 1][..], bytes].concat(),
    };
    revocations(&file, bytes);
    let text = STANDARD.encode(bytes);
    assert_eq!(decode_base64(text.as_bytes()), Ok(bytes.to_vec()));
    if let Ok(decoded) = decode_base64(bytes) {
        assert!(decoded.len() <= bytes.len());
    }
}

fn blob(bytes: &[u8]) {
    let key = match BlobKey::parse(bytes) {
        Ok(key) => key,
        Err(why) => return is_told_safely(&why.to_string()),
    };
    assert!(key.bits <= 16_384 + 8);
    // A line that says its type is read as the same key.
    let name = key.key_type.name();
    let name = match key.certificate {
        true => name.replace("@openssh.com", "") + "-cert-v01@openssh.com",
        false => name.to_owned(),
    };
    let line = format!("{name} {} a comment\n", STANDARD.encode(bytes));
    let file = KeyFile::parse(line.as_bytes());
    let read = file.keys().next().expect("it is a key on a line, too");
    assert_eq!(
        (read.fingerprint, read.sha1),
        (key.fingerprint, Some(key.sha1))
    );
    match read.kind {
        LineKey::Plain { key_type, bits } => {
            assert_eq!(
                (key_type, bits, key.certificate),
                (key.key_type, key.bits, false)
            );
        }
        LineKey::Certificate => assert!(key.certificate),
        LineKey::Foreign => panic!("{name} is known"),
    }
    assert_eq!(file.comment(read), b"a comment");
    assert_eq!(file.remove(&key.fingerprint).new_bytes, b"");
    // A key that is revoked by its line is revoked.
    if !key.certificate {
        let list = RevokedKeys::parse(line.as_bytes(), &release());
        assert_eq!(list.check(read), Revocation::Revoked);
    }
}

/// A release that knows all kinds of keys but DSA's.
fn release() -> Release {
    "OpenSSH_9.2p1 Debian-2".parse().expect("it is a release")
}

/// A certificate says the same as a blob and on a line.
fn certificate(bytes: &[u8]) {
    let certificate = match Certificate::parse(bytes) {
        Ok(certificate) => certificate,
        Err(why) => return is_told_safely(&why.to_string()),
    };
    let line = format!("x {}", STANDARD.encode(bytes));
    if let Ok(read) = Certificate::parse_line(line.as_bytes()) {
        assert_eq!(read.key.fingerprint, certificate.key.fingerprint);
    }
    match &certificate.options {
        Ok(options) => {
            let _any = options.is_good_from("192.0.2.7".parse().expect("an address"));
        }
        Err(why) => is_told_safely(&why.to_string()),
    }
    let list = krl_of(&[]);
    let list = RevokedKeys::parse(&list, &release());
    assert_eq!(list.check_certificate(&certificate), Revocation::NotListed);
}

fn revocations(file: &[u8], blob: &[u8]) {
    let line = KeyFile::parse(LINE.as_bytes());
    let key = line.keys().next().expect("it is a key");
    let krl = RevokedKeys::parse(file, &release());
    let before = krl.check(key);
    // One section more, with the key in it, revokes it, unless the list is damaged before.
    let section = [
        &[5, 0, 0, 0, 36, 0, 0, 0, 32][..],
        key.fingerprint.as_bytes(),
    ]
    .concat();
    let after = RevokedKeys::parse(&[file, &section].concat(), &release()).check(key);
    match before {
        Revocation::Damaged | Revocation::Unreadable => {}
        _ => assert!(matches!(after, Revocation::Revoked), "{after:?}"),
    }
    // And a whole list that holds what the input is a fingerprint of.
    let print = KeyFingerprint::of_blob(blob);
    let list = krl_of(&[&[5, 0, 0, 0, 36, 0, 0, 0, 32][..], print.as_bytes()].concat());
    assert_eq!(
        RevokedKeys::parse(&list, &release()).check(key),
        Revocation::NotListed
    );
}

const LINE: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";

/// PROTOCOL.krl: magic, version of the format, of the list, date, flags, two strings, sections.
fn krl_of(sections: &[u8]) -> Vec<u8> {
    [MAGIC, &[0, 0, 0, 1], &[0; 24], &[0; 8], sections].concat()
}

fn made() -> Vec<Vec<u8>> {
    let string = |bytes: &[u8]| {
        [
            &u32::try_from(bytes.len()).expect("short").to_be_bytes()[..],
            bytes,
        ]
        .concat()
    };
    let blob = |parts: &[&[u8]]| {
        parts
            .iter()
            .flat_map(|part| string(part))
            .collect::<Vec<u8>>()
    };
    let point = |len: usize| [&[4][..], &vec![7; len - 1]].concat();
    let modulus = [&[0, 0xc1][..], &[9; 255]].concat();
    let blobs = [
        blob(&[b"ssh-ed25519", &[1; 32]]),
        blob(&[b"sk-ssh-ed25519@openssh.com", &[2; 32], b"ssh:"]),
        blob(&[b"ssh-rsa", &[1, 0, 1], &modulus]),
        blob(&[b"ssh-dss", &modulus, &[0x7f; 20], &[3; 20], &[4; 20]]),
        blob(&[b"ecdsa-sha2-nistp256", b"nistp256", &point(65)]),
        blob(&[b"ecdsa-sha2-nistp384", b"nistp384", &point(97)]),
        blob(&[b"ecdsa-sha2-nistp521", b"nistp521", &point(133)]),
        blob(&[
            b"sk-ecdsa-sha2-nistp256@openssh.com",
            b"nistp256",
            &point(65),
            b"ssh:",
        ]),
        [
            blob(&[b"ssh-ed25519-cert-v01@openssh.com", &[5; 32], &[6; 32]]),
            vec![0; 90],
        ]
        .concat(),
    ];
    let section = |kind: u8, data: &[u8]| [&[kind][..], &string(data)].concat();
    let lists = [
        krl_of(&section(2, &string(&blobs[0]))),
        krl_of(&section(3, &string(&[8; 20]))),
        krl_of(&[section(1, b"\0\0\0\0"), section(5, &string(&[9; 32]))].concat()),
        krl_of(
            &[
                section(255, &[&string(b"x@example")[..], &[0, 0, 0, 0, 0]].concat()),
                section(4, b"k"),
                string(b"s"),
            ]
            .concat(),
        ),
    ];
    blobs.into_iter().chain(lists).collect()
}
