//! Certificates that a control plane sends, and requests for them that hosts send.

use rescind_agent::link::identity::Identity;
use rescind_control::ca::Ca;
use rescind_control::data_dir::DataDir;
use rescind_control::keys::FirstStart;
use rescind_protocol::name::{Digest, HostId, UnixMillis};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateSigningRequestDer};

use super::Target;
use super::scratch::Scratch;
use super::told::is_told_safely;

pub const TARGET: Target = Target {
    name: "certificates",
    read,
    words: &[
        "\x30\x03",
        "\x06\x03\x55\x1d",
        "\x06\x07\x2a",
        "\x17\x0d261123162354Z",
        "\x18\x0f99991231235959Z",
        "\x02\x01\x02",
        "\x03\x02\x07",
        "\x04\x02\x30\0",
        "\x01\x01",
        "\x31\0",
        "\x0c\x18",
        "\x13\x01",
        "-----BEGIN CERTIFICATE-----\n",
        "-----END CERTIFICATE-----\n",
    ],
    made,
    rooms: &[],
};

/// The first byte says what the rest is: a request, a certificate, a CA's, or text with PEM in it.
fn read(bytes: &[u8]) {
    let Some((what, rest)) = bytes.split_first() else {
        return;
    };
    Scratch::with(|scratch| match what % 4 {
        0 => request(scratch, rest),
        1 => identity(scratch, &[KEY, &pem(rest)].concat(), CA),
        2 => identity(scratch, &[KEY, CERTIFICATE].concat(), &pem(rest)),
        _ => {
            let text = String::from_utf8_lossy(rest);
            identity(scratch, &text, &text);
        }
    });
}

fn request(scratch: &Scratch, csr: &[u8]) {
    scratch.put("control/ca.pem", CA.as_bytes());
    scratch.put("control/ca.key", CA_KEY.as_bytes());
    let dir = DataDir::open(&scratch.path().join("control")).expect("it is ours alone");
    let now = UnixMillis(1_800_000_000_000);
    let ca = Ca::open(&dir, "rescind", FirstStart::No, now).expect("the CA is whole");
    match ca.certify_host(csr, HostId::from_bytes([1; 16]), 24, now) {
        Ok(issued) => {
            assert_eq!(issued.not_after, now.plus_ms(24 * 3_600_000));
            let der = CertificateDer::from_pem_slice(issued.pem.as_bytes()).expect("our own PEM");
            assert_eq!(Digest::of(&der), issued.digest);
            // Nothing of the request but its key is in the certificate.
            assert!(der.len() < 1024, "{} bytes", der.len());
        }
        Err(why) => is_told_safely(&why.to_string()),
    }
}

fn identity(scratch: &Scratch, identity: &str, ca: &str) {
    scratch.put("var/lib/rescind-link/identity.pem", identity.as_bytes());
    scratch.put("var/lib/rescind-link/ca.pem", ca.as_bytes());
    match Identity::load(scratch.path()) {
        Ok(identity) => assert!(identity.validity.not_before <= identity.validity.not_after),
        Err(why) => is_told_safely(&why.to_string()),
    }
}

fn pem(der: &[u8]) -> String {
    use base64::Engine;
    let body = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n")
}

fn made() -> Vec<Vec<u8>> {
    let der = |pem: &str| {
        CertificateDer::from_pem_slice(pem.as_bytes())
            .expect("a certificate")
            .to_vec()
    };
    let request = CertificateSigningRequestDer::from_pem_slice(REQUEST.as_bytes())
        .expect("a request")
        .to_vec();
    let text = [KEY, CERTIFICATE, CA].concat().into_bytes();
    [(0, request), (1, der(CERTIFICATE)), (2, der(CA)), (3, text)]
        .into_iter()
        .map(|(what, bytes)| [&[what][..], &bytes].concat())
        .collect()
}

/// A request for [`KEY`].
const REQUEST: &str = "\
    -----BEGIN CERTIFICATE REQUEST-----\n\
    MIG5MGICAQAwADBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABBnNEtQGWL8/Xibs\n\
    DiHmKTtaTrt7agFW3QN1DKNfUkE6dOlZz5U3EwWYFNmGUGKk3N6Iuvbi4w8Lbsez\n\
    /YVAf/WgADAKBggqhkjOPQQDAgNHADBEAiADw+zB2qQVkiv0aXJMM6gh4z6Y1Smv\n\
    V9J0ciivxjVRRgIgCMJ9x6IltXHdGv+D/AW9/rFqD7wjeOEmoidAOj/Yobs=\n\
    -----END CERTIFICATE REQUEST-----\n";

/// What came of it.
const CERTIFICATE: &str = "\
    -----BEGIN CERTIFICATE-----\n\
    MIIBsDCCAVWgAwIBAgIUbo7aLethE8Enn/qDKjzKpqHotfcwCgYIKoZIzj0EAwIw\n\
    IzEhMB8GA1UEAwwYUmVzY2luZCBjb250cm9sIHBsYW5lIENBMB4XDTI2MTEyMzE2\n\
    MjM1NFoXDTM2MTAwMTE2MjM1NFowADBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IA\n\
    BBnNEtQGWL8/XibsDiHmKTtaTrt7agFW3QN1DKNfUkE6dOlZz5U3EwWYFNmGUGKk\n\
    3N6Iuvbi4w8Lbsez/YVAf/WjgYkwgYYwEwYDVR0lBAwwCgYIKwYBBQUHAwIwIgYD\n\
    VR0RBBswGYYXc3BpZmZlOi8vcmVzY2luZC9ob3N0LzEwCwYDVR0PBAQDAgeAMB0G\n\
    A1UdDgQWBBSb8vbjo5BXWYFPRk2MVNu9VyE8SjAfBgNVHSMEGDAWgBR5zU8OfAJA\n\
    +ySsxkfd+cDZdO3eqjAKBggqhkjOPQQDAgNJADBGAiEA90gxELIeXYu8sKxpP4ZW\n\
    jLuH0sNh+yWzWDLXauYhoxECIQDgnZzHxLE4tIV11bCFoCAdZJvkzOlh7LMsz7Ly\n\
    OMfgOg==\n\
    -----END CERTIFICATE-----\n";

/// Who made it.
const CA: &str = "\
    -----BEGIN CERTIFICATE-----\n\
    MIIBmjCCAUGgAwIBAgIUVA9Ve4j7jouLXbO0ZX0LaHEhY3YwCgYIKoZIzj0EAwIw\n\
    IzEhMB8GA1UEAwwYUmVzY2luZCBjb250cm9sIHBsYW5lIENBMB4XDTI2MTEyMzE2\n\
    MjM1NFoXDTM2MTEyMDE2MjM1NFowIzEhMB8GA1UEAwwYUmVzY2luZCBjb250cm9s\n\
    IHBsYW5lIENBMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE7d4Sax6AfFlWJDBH\n\
    SAqfKfh0xTiEoFp0HqVjq5NuliIzI0mbxgcCAzIenRYn+5KI5w6KQV+LrhqjdAF8\n\
    7wp036NTMFEwHQYDVR0OBBYEFHnNTw58AkD7JKzGR935wNl07d6qMB8GA1UdIwQY\n\
    MBaAFHnNTw58AkD7JKzGR935wNl07d6qMA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZI\n\
    zj0EAwIDRwAwRAIgWuqIlum+sp5VNszby16HrxEKK/WFRkpxKwEHOSMfilICIFS1\n\
    LYCnAWRShqL+GHWtL43qeevnWuIBvxkYzz+LEgqh\n\
    -----END CERTIFICATE-----\n";

/// Made for this test, and of no other use.
const KEY: &str = "\
    -----BEGIN PRIVATE KEY-----\n\
    MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgwALy9VCz2V15ugrq\n\
    AAQVYAuX+1M57w1wJKXe0PZZlCChRANCAAQZzRLUBli/P14m7A4h5ik7Wk67e2oB\n\
    Vt0DdQyjX1JBOnTpWc+VNxMFmBTZhlBipNzeiLr24uMPC27Hs/2FQH/1\n\
    -----END PRIVATE KEY-----\n";

/// The same.
const CA_KEY: &str = "\
    -----BEGIN PRIVATE KEY-----\n\
    MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgVJGqJ0d/VQa6dy1L\n\
    FBfBAC6dT4BoI1bduoEFuY5tGoehRANCAATt3hJrHoB8WVYkMEdICp8p+HTFOISg\n\
    WnQepWOrk26WIjMjSZvGBwIDMh6dFif7kojnDopBX4uuGqN0AXzvCnTf\n\
    -----END PRIVATE KEY-----\n";
