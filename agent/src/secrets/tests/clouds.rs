//! Credentials of clouds.

use super::home;

#[test]
fn clouds() {
    assert_eq!(
        home(
            ".aws/credentials",
            "[default]\naws_access_key_id = AKIAFAKE\naws_secret_access_key = s3cr3t/+\n\
             [prod]\naws_secret_access_key=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\naws_session_token = t0k\n\
             # aws_secret_access_key = old\n"
        ),
        [
            "aws_access_key default=s3cr3t/+",
            "- aws_access_key prod placeholder",
            "aws_session prod=t0k",
        ]
    );
    assert_eq!(
        home(
            ".aws/sso/cache/ab.json",
            r#"{"startUrl":"https://x","accessToken":"t0k","expiresAt":"x"}"#
        ),
        ["aws_session accessToken=t0k"]
    );
    assert_eq!(
        home(
            ".config/gcloud/application_default_credentials.json",
            r#"{"client_id":"a","refresh_token":"1//t0k","type":"authorized_user"}"#
        ),
        ["gcp_user_credential =1//t0k"]
    );
    assert_eq!(
        home("package.json", r#"{"type":"module","private_key":"no"}"#),
        Vec::<String>::new()
    );
    let row = "SQLite format 3\0\x01\x02alice@example.test{\"client_id\": \"a\", \"refresh_token\": \"t0k\"}\x03";
    assert_eq!(
        home(".config/gcloud/credentials.db", row),
        ["gcp_user_credential alice@example.test=t0k"]
    );
    assert_eq!(
        home(
            ".azure/msal_token_cache.json",
            r#"{"AccessToken":{"a":{"secret":"t0k"}},"RefreshToken":{"b":{"secret":"t1k"}},"IdToken":{"c":{"secret":"id"}}}"#
        ),
        [
            "azure_token AccessToken=t0k",
            "azure_token RefreshToken=t1k"
        ]
    );
    assert_eq!(
        home(
            ".azure/service_principal_entries.json",
            r#"[{"client_id":"a","client_secret":"s3c"}]"#
        ),
        ["azure_service_principal =s3c"]
    );
    assert_eq!(
        home(
            ".oci/config",
            "[DEFAULT]\nkey_file=~/.oci/key.pem\npass_phrase=s3c\n"
        ),
        ["> ~/.oci/key.pem", "oci_passphrase DEFAULT=s3c"]
    );
    assert_eq!(
        home(
            ".config/openstack/clouds.yaml",
            "clouds:\n  one:\n    auth:\n      username: a\n      password: s3c\n"
        ),
        ["openstack_password one=s3c"]
    );
    assert_eq!(
        home(
            ".config/doctl/config.yaml",
            "access-token: dop_v1_x\nauth-contexts:\n  team: t0k\ncontext: default\n"
        ),
        [
            "digitalocean_token =dop_v1_x",
            "digitalocean_token team=t0k"
        ]
    );
    assert_eq!(
        home(
            ".config/hcloud/cli.toml",
            "active_context = \"p\"\n[[contexts]]\n  name = \"p\"\n  token = \"t0k\"\n"
        ),
        ["hcloud_token p=t0k"]
    );
    assert_eq!(
        home(".config/linode-cli", "[alice]\ntoken = t0k\n"),
        ["linode_token alice=t0k"]
    );
    assert_eq!(
        home(".fly/config.yml", "access_token: fo1_x\n"),
        ["fly_token =fo1_x"]
    );
    assert_eq!(
        home(
            ".cloudflared/id.json",
            r#"{"AccountTag":"a","TunnelSecret":"s3c"}"#
        ),
        ["cloudflare_token TunnelSecret=s3c"]
    );
    assert_eq!(
        home(".s3cfg", "[default]\naccess_key = a\nsecret_key = s3c\n"),
        ["object_store_key secret_key=s3c"]
    );
    assert_eq!(
        home(
            ".mc/config.json",
            r#"{"aliases":{"play":{"accessKey":"a","secretKey":"s3c"}}}"#
        ),
        ["object_store_key play=s3c"]
    );
    assert_eq!(
        home(
            ".config/rclone/rclone.conf",
            "[b2]\ntype = b2\naccount = a\nkey = s3c\n[drive]\ntoken = {\"access_token\":\"x\"}\n"
        ),
        [
            "rclone_remote b2=s3c",
            "rclone_remote drive={\"access_token\":\"x\"}"
        ]
    );
    let sealed = "# Encrypted rclone configuration File\n\nRCLONE_ENCRYPT_V0:\nAbC\n";
    assert_eq!(
        home(".rclone.conf", sealed),
        [format!("rclone_remote ={sealed} sealed")]
    );
}
