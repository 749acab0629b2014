//! Credentials of networks.

use super::system;

#[test]
fn networks() {
    // RFC 7748 section 6.1: Alice's private key and her public one.
    let (private, public) = (
        "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=",
        "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=",
    );
    let conf = format!(
        "[Interface]\nPrivateKey = {private}\n[Peer]\nPublicKey = {public}\nPresharedKey = cHNr\n"
    );
    assert_eq!(
        system("etc/wireguard/wg0.conf", conf),
        [
            format!("wireguard_key Interface=wireguard:{public}"),
            "wireguard_key PresharedKey=cHNr".into()
        ]
    );
    assert_eq!(
        system("etc/wireguard/privatekey", format!("{private}\n")),
        [format!("wireguard_key =wireguard:{public}")]
    );
    assert_eq!(
        system("etc/wireguard/publickey", format!("{public}\n")),
        Vec::<String>::new()
    );
    let body = "0123456789abcdef".repeat(8);
    assert_eq!(
        system(
            "etc/openvpn/client.conf",
            format!(
                "client\ntls-auth ta.key 1\nkey keys/me.key\nauth-user-pass /etc/openvpn/login\n<auth-user-pass>\nu\ns3c\n</auth-user-pass>\n\
                 <tls-crypt>\n-----BEGIN OpenVPN Static key V1-----\n{body}\n-----END OpenVPN Static key V1-----\n</tls-crypt>\n"
            )
        ),
        [
            format!("openvpn_key ={body}"),
            "> ta.key".into(),
            "> keys/me.key".into(),
            "> /etc/openvpn/login".into(),
            "openvpn_password =s3c".into(),
        ]
    );
    assert_eq!(
        system(
            "etc/ipsec.secrets",
            "# x : PSK \"no\"\n10.0.0.1 fd00::1 : PSK \"s3c\"\nalice : EAP \"p w\"\n: RSA key.pem \"p2\"\n"
        ),
        [
            "ipsec_secret 10.0.0.1 fd00::1=s3c",
            "ipsec_secret alice=p w",
            "ipsec_secret =p2"
        ]
    );
    assert_eq!(
        system("etc/ppp/chap-secrets", "# c s x *\nalice * \"s 3c\" *\n"),
        ["ppp_secret alice=s 3c"]
    );
    assert_eq!(
        system(
            "etc/NetworkManager/system-connections/home.nmconnection",
            "[connection]\nid=home\n[wifi-security]\npsk=s3c;x\npsk-flags=0\n"
        ),
        ["network_manager_secret wifi-security=s3c;x"]
    );
    assert_eq!(
        system(
            "etc/wpa_supplicant/wpa_supplicant.conf",
            "network={\n\tssid=\"n\"\n\tpsk=\"s3c\"\n}\n"
        ),
        ["wpa_passphrase n=s3c"]
    );
}
