//! Private keys in all their forms, OpenPGP keys, keytabs.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rescind_agent::secrets::recognise;
use rescind_protocol::sign::SigningKey;

use super::Target;
use super::notes::read_at;
use super::told::is_told_safely;

pub const TARGET: Target = Target {
    name: "private_keys",
    read,
    words: &[
        "-----BEGIN OPENSSH PRIVATE KEY-----\n",
        "-----END OPENSSH PRIVATE KEY-----\n",
        "-----BEGIN RSA PRIVATE KEY-----\n",
        "-----END RSA PRIVATE KEY-----\n",
        "-----BEGIN EC PRIVATE KEY-----\n",
        "-----BEGIN PRIVATE KEY-----\n",
        "-----END PRIVATE KEY-----\n",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\n",
        "-----BEGIN PGP PRIVATE KEY BLOCK-----\n",
        "-----END PGP PRIVATE KEY BLOCK-----\n",
        "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n",
        "PuTTY-User-Key-File-3: ssh-ed25519\n",
        "Encryption: none\n",
        "Public-Lines: 2\n",
        "Private-Lines: 1\n",
        "Comment: x\n",
        "openssh-key-v1\0",
        "\x30",
        "\x02\x01",
        "\x04\x20",
        "\x06\x08\x2a",
        "\x03\x42\0\x04",
        "\0\0\0\x04none",
        "\0\0\0\x0bssh-ed25519\0\0\0\x20",
        "\x05\x02\0\0\0",
        "(private-key\n (ecc\n",
        "(21:protected-private-key(3:rsa(1:n",
        "Key: (private-key",
        "\x30\x2e\x02\x01\0\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20",
    ],
    made,
    rooms: &[
        "agent/src/secrets/keys/tests.rs",
        "agent/src/secrets/pgp.rs",
        "agent/src/secrets/kerberos.rs",
    ],
};

/// Where keys lie, and a home's and the system's recogniser of each.
const PLACES: [&str; 8] = [
    ".ssh/id_ed25519",
    ".putty/a.ppk",
    ".gnupg/secring.gpg",
    ".gnupg/private-keys-v1.d/a.key",
    ".oci/a.pem",
    "alice.keytab",
    "wg0.conf",
    ".config/sops/age/keys.txt",
];

fn read(bytes: &[u8]) {
    let Some((choice, rest)) = bytes.split_first() else {
        return;
    };
    // As it is, and as the body of each kind of PEM: a change to base64 leads nowhere.
    let label = LABELS[usize::from(*choice) % LABELS.len()];
    let pem = pem(label, rest);
    for place in PLACES {
        let read = recognise::in_home(place.as_bytes()).expect("a place");
        for bytes in [rest, pem.as_bytes()] {
            read_at(read, place, bytes);
        }
    }
    for bytes in [rest, pem.as_bytes()] {
        match std::str::from_utf8(bytes).map(SigningKey::from_pem) {
            Ok(Ok(key)) => is_told_safely(&format!("{key:?}")),
            Ok(Err(why)) => is_told_safely(&why.to_string()),
            Err(_) => {}
        }
    }
}

const LABELS: [&str; 7] = [
    "OPENSSH PRIVATE KEY",
    "RSA PRIVATE KEY",
    "EC PRIVATE KEY",
    "DSA PRIVATE KEY",
    "PRIVATE KEY",
    "ENCRYPTED PRIVATE KEY",
    "PGP PRIVATE KEY BLOCK",
];

fn pem(label: &str, bytes: &[u8]) -> String {
    let body = STANDARD.encode(bytes);
    let lines: Vec<&str> = body
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).expect("ASCII"))
        .collect();
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        lines.join("\n")
    )
}

fn made() -> Vec<Vec<u8>> {
    let string = |bytes: &[u8]| {
        [
            &u32::try_from(bytes.len()).expect("short").to_be_bytes()[..],
            bytes,
        ]
        .concat()
    };
    let strings = |parts: &[&[u8]]| {
        parts
            .iter()
            .flat_map(|part| string(part))
            .collect::<Vec<u8>>()
    };
    let public = strings(&[b"ssh-ed25519", &[7; 32]]);
    let private = [
        &[0, 0, 0, 9, 0, 0, 0, 9][..],
        &public,
        &string(&[8; 64]),
        &string(b"comment"),
        &[1, 2, 3],
    ]
    .concat();
    let openssh = [
        &b"openssh-key-v1\0"[..],
        &strings(&[b"none", b"none", b""]),
        &[0, 0, 0, 1],
        &strings(&[&public, &private]),
    ]
    .concat();
    let sealed = [
        &b"openssh-key-v1\0"[..],
        &strings(&[b"aes256-ctr", b"bcrypt", b"salt"]),
        &[0, 0, 0, 1],
        &strings(&[&public, b"sealed"]),
    ]
    .concat();
    let integer =
        |bytes: &[u8]| [&[2, u8::try_from(bytes.len()).expect("short")][..], bytes].concat();
    let sequence = |parts: &[Vec<u8>]| {
        let inside = parts.concat();
        [
            &[0x30, 0x82][..],
            &u16::try_from(inside.len()).expect("short").to_be_bytes(),
            &inside,
        ]
        .concat()
    };
    let rsa = sequence(&[
        integer(&[0]),
        integer(&[0x41; 64]),
        integer(&[1, 0, 1]),
        integer(&[3; 64]),
        integer(&[5; 32]),
        integer(&[7; 32]),
        integer(&[9; 32]),
        integer(&[11; 32]),
        integer(&[13; 32]),
    ]);
    let ed25519 = [
        &[
            0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20,
        ][..],
        &[5; 32],
    ]
    .concat();
    let ec = sequence(&[
        integer(&[1]),
        [&[4, 32][..], &[6; 32]].concat(),
        vec![0xa0, 10, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7],
    ]);
    let keytab = [
        &[5, 2, 0, 0, 0, 42, 0, 1, 0, 4][..],
        b"TEST",
        &[0, 5],
        b"alice",
        &[0, 0, 0, 1, 1, 2, 3, 4, 2, 0, 18, 0, 8],
        &[9; 8],
        &[0, 0, 0, 2],
    ]
    .concat();
    let putty = b"PuTTY-User-Key-File-2: ssh-ed25519\nEncryption: none\nComment: c\nPublic-Lines: 1\nAAAAC3NzaC1lZDI1NTE5\nPrivate-Lines: 1\nAAAA\nPrivate-MAC: 00\n";
    let pgp = [
        &[0x95, 1, 4, 4, 0, 0, 0, 1, 1][..],
        &[8, 0],
        &[0x81; 256],
        &[0, 17, 1, 0, 1],
        &[255; 40],
    ]
    .concat();
    [
        (0, openssh),
        (0, sealed),
        (1, rsa),
        (4, ed25519),
        (2, ec),
        (0, keytab),
        (0, putty.to_vec()),
        (6, pgp),
    ]
    .into_iter()
    .map(|(choice, bytes)| [&[choice][..], &bytes].concat())
    .collect()
}
