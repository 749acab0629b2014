//! A file in, what is said of it out. Nothing here is anybody's secret.

use super::note::{File, Mark, Note};
use super::{Kind, recognise};
use crate::random::Random;

/// What is said of a file below a home: a line for each credential, `-` for what was passed over,
/// `?` for what is unclear, `>` for another file it names.
fn home(path: &str, text: impl AsRef<[u8]>) -> Vec<String> {
    let read = recognise::in_home(path.as_bytes()).unwrap_or_else(|| panic!("no place: {path}"));
    say(read, &format!("/home/alice/{path}"), text.as_ref())
}

/// The same for a file below `/`.
fn system(path: &str, text: impl AsRef<[u8]>) -> Vec<String> {
    let read = recognise::of_system(path.as_bytes()).unwrap_or_else(|| panic!("no place: {path}"));
    say(read, &format!("/{path}"), text.as_ref())
}

/// The same, and that no damage to the file makes its reader panic or go on for ever.
pub(super) fn say(read: recognise::Recogniser, path: &str, bytes: &[u8]) -> Vec<String> {
    for turn in 0..DAMAGES {
        read_once(read, path, &damaged(bytes, turn));
    }
    read_once(read, path, bytes)
}

const DAMAGES: u64 = 100;

/// A copy with some bytes changed, cut, doubled, or put elsewhere; the same for the same turn.
fn damaged(bytes: &[u8], turn: u64) -> Vec<u8> {
    let mut random = Random::new(turn.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut below = |limit: usize| random.below(limit);
    const ODD: &[u8] = b"\0\n\r\t \"'\\:=#;[]{}<>/@$%-\xff\x80\x300";
    let mut copy = bytes.to_vec();
    for _ in 0..=below(4) {
        let (at, to) = (below(copy.len() + 1), below(copy.len() + 1));
        match below(5) {
            0 => copy.truncate(at),
            1 => copy.insert(at, ODD[below(ODD.len())]),
            2 if at < copy.len() => copy[at] ^= 1 << below(8),
            3 if at < to => {
                let part = copy[at..to].to_vec();
                copy.splice(at..at, part);
            }
            _ if at < to => drop(copy.drain(at..to)),
            _ => {}
        }
    }
    copy
}

fn read_once(read: recognise::Recogniser, path: &str, bytes: &[u8]) -> Vec<String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut said = Vec::new();
    let path = path.as_bytes();
    read(&File { path, bytes }, &mut |note| {
        said.push(match note {
            Note::Held(held) => {
                let mark = match held.mark {
                    Mark::Public(mark) => mark.to_string(),
                    Mark::Value(value) => text(value),
                };
                let sealed = if held.encrypted { " sealed" } else { "" };
                format!("{} {}={mark}{sealed}", held.kind, text(held.label))
            }
            Note::PassedOver { kind, label, why } => {
                format!("- {kind} {} {}", text(label), why.as_str())
            }
            Note::Unclear { kind, why } => format!("? {kind} {why}"),
            Note::Refers { path, .. } => format!("> {}", text(path)),
        });
    });
    said
}

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

#[test]
fn containers() {
    assert_eq!(
        home(
            ".docker/config.json",
            r#"{"auths":{"https://index.docker.io/v1/":{"auth":"YWxpY2U6czNj"},"r.test":{"identitytoken":"t0k"},
                "ghcr.io":{},"t.test":{"auth":"dXNlcjp5b3VyX3Bhc3N3b3Jk"}},"credsStore":"pass"}"#
        ),
        [
            "docker_registry_auth https://index.docker.io/v1/=s3c",
            "docker_registry_auth r.test=t0k",
            "- docker_registry_auth t.test placeholder",
        ]
    );
    assert_eq!(
        home(".dockercfg", r#"{"r.test":{"auth":"YTpi","email":""}}"#),
        ["docker_registry_auth r.test=b"]
    );
    assert_eq!(
        home(
            ".kube/config",
            "apiVersion: v1\nclusters:\n- name: c\n  cluster:\n    certificate-authority-data: QUFB\nusers:\n\
             - name: admin\n  user:\n    token: t0k\n- name: file\n  user:\n    client-key: /etc/k.key\n\
             - name: exec\n  user:\n    exec:\n      command: aws\n- name: redacted\n  user:\n    client-key-data: REDACTED\n"
        ),
        [
            "kubeconfig_credential admin=t0k",
            "> /etc/k.key",
            "- kubeconfig_credential redacted placeholder",
        ]
    );
    assert_eq!(home(".vault-token", "hvs.x\n"), ["vault_token =hvs.x"]);
    assert_eq!(home(".vault-token", ""), ["- vault_token  empty"]);
    assert_eq!(
        home(
            ".terraform.d/credentials.tfrc.json",
            r#"{"credentials":{"app.terraform.io":{"token":"t0k"}}}"#
        ),
        ["terraform_token app.terraform.io=t0k"]
    );
    assert_eq!(
        home(
            ".terraformrc",
            "plugin_cache_dir = \"x\"\ncredentials \"a.test\" {\n  token = \"t0k\"\n}\ncredentials \"b.test\" { token = \"t1k\" }\n"
        ),
        ["terraform_token a.test=t0k", "terraform_token b.test=t1k"]
    );
}

#[test]
fn forges_and_registries() {
    assert_eq!(
        home(
            ".git-credentials",
            "https://alice:t0k@git.test\nhttps://ghp_16C7e42F292c6912E7710c838347Ae178B4a@github.com\nssh://git@h\n"
        ),
        [
            "git_credential git.test=t0k",
            "git_credential github.com=ghp_16C7e42F292c6912E7710c838347Ae178B4a"
        ]
    );
    assert_eq!(
        home(
            ".gitconfig",
            "[user]\n\tname = a\n[credential]\n\thelper = store --file /srv/creds\n[http \"https://git.test/\"]\n\
             \textraheader = Authorization: Basic YTpi\n[sendemail]\n\tsmtpPass = s3c\n"
        ),
        [
            "> /srv/creds",
            "git_credential git.test=YTpi",
            "mail_password sendemail=s3c"
        ]
    );
    assert_eq!(
        home(
            "app/.git/config",
            "[remote \"origin\"]\n\turl = https://oauth2:t0k@git.test/x.git\n"
        ),
        ["git_credential git.test=t0k"]
    );
    assert_eq!(
        home(
            ".config/gh/hosts.yml",
            "github.com:\n    users:\n        alice:\n            oauth_token: gho_x\n    user: alice\n"
        ),
        ["github_token github.com=gho_x"]
    );
    assert_eq!(
        home(
            ".config/hub",
            "github.com:\n- user: a\n  oauth_token: t0k\n"
        ),
        ["github_token github.com=t0k"]
    );
    assert_eq!(
        home(
            ".config/glab-cli/config.yml",
            "hosts:\n    gitlab.com:\n        token: glpat-x\n"
        ),
        ["gitlab_token gitlab.com=glpat-x"]
    );
    assert_eq!(
        system(
            "etc/gitlab-runner/config.toml",
            "concurrent = 1\n[[runners]]\n  name = \"r1\"\n  token = \"glrt-x\"\n"
        ),
        ["gitlab_token r1=glrt-x"]
    );
    assert_eq!(
        home(
            ".netrc",
            "# machine no login no password no\nmachine a.test login u password p1\nmachine b.test\n\tlogin u\n\tpassword p2\n\
             macdef init\npassword no\n\ndefault login anonymous password user@\n"
        ),
        [
            "netrc_password a.test=p1",
            "netrc_password b.test=p2",
            "netrc_password default=user@"
        ]
    );
    assert_eq!(
        home(
            ".npmrc",
            "registry=https://r.test/\n//r.test/:_authToken=npm_x\n//s.test/:_authToken=${NPM_TOKEN}\n_auth = YTpi\n"
        ),
        [
            "npm_token r.test=npm_x",
            "- npm_token s.test indirect",
            "npm_token =YTpi"
        ]
    );
    assert_eq!(
        home(
            ".yarnrc.yml",
            "npmRegistries:\n  \"//r.test\":\n    npmAuthToken: t0k\n"
        ),
        ["yarn_token r.test=t0k"]
    );
    assert_eq!(
        home(
            ".pypirc",
            "[distutils]\nindex-servers =\n    pypi\n[pypi]\nusername = __token__\npassword = pypi-x\n"
        ),
        ["pypi_password pypi=pypi-x"]
    );
    assert_eq!(
        home(
            ".config/pip/pip.conf",
            "[global]\nindex-url = https://u:p1@i.test/simple\nextra-index-url =\n  https://pypi.test\n  https://u:p2@j.test\n"
        ),
        [
            "pip_index_password i.test=p1",
            "pip_index_password j.test=p2"
        ]
    );
    assert_eq!(
        home(
            ".cargo/credentials.toml",
            "[registry]\ntoken = \"t0k\"\n[registries.mine]\ntoken = \"t1k\"\n"
        ),
        ["cargo_token crates-io=t0k", "cargo_token mine=t1k"]
    );
    assert_eq!(
        home(".gem/credentials", "---\n:rubygems_api_key: rubygems_x\n"),
        ["gem_key :rubygems_api_key=rubygems_x"]
    );
    assert_eq!(
        home(
            ".composer/auth.json",
            r#"{"http-basic":{"r.test":{"username":"u","password":"s3c"}},"github-oauth":{"github.com":"t0k"}}"#
        ),
        ["composer_auth r.test=s3c", "composer_auth github.com=t0k"]
    );
    assert_eq!(
        home(
            ".m2/settings.xml",
            "<settings><servers><server><id>a</id><password>s3c</password></server>\
             <server><id>b</id><password>{COQL=}</password></server></servers></settings>"
        ),
        ["maven_password a=s3c", "maven_password b={COQL=} sealed"]
    );
    assert_eq!(
        home(
            ".gradle/gradle.properties",
            "org.gradle.jvmargs=-Xmx2g\nmavenPassword=s3c\nsigning.keyId=AB\n"
        ),
        ["gradle_secret mavenPassword=s3c"]
    );
    assert_eq!(
        home(
            ".nuget/NuGet/NuGet.Config",
            "<configuration><packageSourceCredentials><Feed><add key=\"Username\" value=\"u\" />\
             <add key=\"ClearTextPassword\" value=\"s3c\" /></Feed></packageSourceCredentials></configuration>"
        ),
        ["nuget_password Feed=s3c"]
    );
    assert_eq!(
        home(
            ".bundle/config",
            "---\nBUNDLE_GEMS__TEST: \"u:s3c\"\nBUNDLE_JOBS: \"4\"\n"
        ),
        ["gem_key GEMS__TEST=s3c"]
    );
}

#[test]
fn databases_and_services() {
    assert_eq!(
        home(
            ".pgpass",
            "# c\ndb.test:5432:app:u:p:w\n*:*:*:u\\:x:s3c\nincomplete:1\n"
        ),
        ["postgres_password db.test=p:w", "postgres_password *=s3c"]
    );
    assert_eq!(
        home(
            ".my.cnf",
            "[client]\nuser=a\npassword = \"s#3c\"\n[mysqld]\nport=1\n"
        ),
        ["mysql_password client=s#3c"]
    );
    assert_eq!(home(".mylogin.cnf", [0_u8; 40]).len(), 1);
    assert_eq!(
        system(
            "etc/fstab",
            "# //no/x /m cifs password=no 0 0\n//h/s /mnt cifs username=a,password=s3c,ro 0 0\n//h/t /n cifs credentials=/etc/c 0 0\n"
        ),
        ["smb_password //h/s=s3c", "> /etc/c"]
    );
    assert_eq!(
        system("etc/samba/credentials", "username=a\npassword=s3c\n"),
        ["smb_password =s3c"]
    );
    assert_eq!(
        system(
            "etc/ceph/ceph.client.admin.keyring",
            "[client.admin]\n\tkey = QVFCfake==\n\tcaps mon = \"allow *\"\n"
        ),
        ["ceph_key client.admin=QVFCfake=="]
    );
    assert_eq!(
        system(
            "etc/rndc.key",
            "key \"rndc-key\" {\n\talgorithm hmac-sha256;\n\tsecret \"czNj\";\n};\n"
        ),
        ["tsig_key rndc-key=czNj"]
    );
    assert_eq!(
        home(
            ".msmtprc",
            "account gmail\nhost smtp.test\npassword s3c\naccount other\npasswordeval pass x\n"
        ),
        ["mail_password smtp.test=s3c"]
    );
    assert_eq!(
        home(
            ".fetchmailrc",
            "poll imap.test protocol imap user \"a\" password \"s 3c\"\n"
        ),
        ["mail_password imap.test=s 3c"]
    );
    assert_eq!(
        system(
            "etc/postfix/sasl_passwd",
            "# x\n[smtp.test]:587 user:s:3c\n"
        ),
        ["mail_password [smtp.test]:587=s:3c"]
    );
    assert_eq!(
        system("etc/exim4/passwd.client", "*:user:s3c\n"),
        ["mail_password *=s3c"]
    );
    assert_eq!(
        system(
            "etc/sssd/sssd.conf",
            "[domain/x]\nldap_default_authtok = s3c\n"
        ),
        ["directory_password domain/x=s3c"]
    );
    assert_eq!(
        system("etc/nslcd.conf", "uri ldap://x\nbindpw s3c\n#bindpw no\n"),
        ["directory_password =s3c"]
    );
    assert_eq!(
        system("etc/pam_ldap.secret", "s3c\n"),
        ["directory_password =s3c"]
    );
}

#[test]
fn other_tools() {
    assert_eq!(
        home(
            ".config/sops/age/keys.txt",
            "# created: x\n# public key: age1abc\nAGE-SECRET-KEY-1FAKEFAKEFAKE\n"
        ),
        ["age_key age1abc=AGE-SECRET-KEY-1FAKEFAKEFAKE"]
    );
    assert_eq!(
        home(".cache/huggingface/token", "hf_fake\n"),
        ["api_token =hf_fake"]
    );
    assert_eq!(
        home(
            ".config/configstore/firebase-tools.json",
            r#"{"tokens":{"refresh_token":"1//t0k","scopes":["a"]},"user":{"email":"x"}}"#
        ),
        ["api_token tokens=1//t0k"]
    );
    assert_eq!(
        home(
            ".databrickscfg",
            "[DEFAULT]\nhost = https://x\ntoken = dapi0\n"
        ),
        ["api_token DEFAULT=dapi0"]
    );
    assert_eq!(
        home(
            ".circleci/cli.yml",
            "host: https://circleci.com\ntoken: t0k\n"
        ),
        ["api_token token=t0k"]
    );
    assert_eq!(
        home(
            ".config/filezilla/sitemanager.xml",
            "<FileZilla3><Servers><Server><Host>ftp.test</Host><Pass encoding=\"base64\">czNj</Pass></Server></Servers></FileZilla3>"
        ),
        ["ftp_password ftp.test=s3c"]
    );
    assert_eq!(
        home(
            "site/.vscode/sftp.json",
            r#"{"host":"h","password":"s3c","remotePath":"/"}"#
        ),
        ["ftp_password password=s3c"]
    );
    assert_eq!(
        home(".davfs2/secrets", "# c\nhttps://dav.test \"a b\" s3c\n"),
        ["dav_password https://dav.test=s3c"]
    );
    assert_eq!(
        home(".muttrc", "set imap_user=a\nset imap_pass = \"s3c\" # x\n"),
        ["mail_password imap_pass=s3c"]
    );
    assert_eq!(
        home(
            ".config/helm/repositories.yaml",
            "repositories:\n- name: one\n  password: s3c\n  url: https://r\n- name: two\n  password: \"\"\n"
        ),
        [
            "docker_registry_auth one=s3c",
            "- docker_registry_auth two empty"
        ]
    );
    assert_eq!(
        home(
            "infra/terraform.tfvars",
            "region = \"x\"\ndb_password = \"s3cr3t\"\n"
        ),
        ["env_secret db_password=s3cr3t"]
    );
}

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

#[test]
fn environments() {
    assert_eq!(
        home(
            "app/.env",
            "DB_PASSWORD=s3c\nDB_HOST=db\nAPI_KEY=YOUR_API_KEY_HERE\nSMTP_PASSWORD=\nURL=postgres://u:p4s@db/x\nTOKEN_TTL=60\n"
        ),
        [
            "env_secret DB_PASSWORD=s3c",
            "- env_secret API_KEY placeholder",
            "- env_secret SMTP_PASSWORD empty",
            "env_secret URL=p4s",
        ]
    );
    assert!(recognise::in_home(b".env.example").is_none());
    assert_eq!(
        home(
            ".bashrc",
            "export GITHUB_TOKEN=t0k9z; alias x=y\nexport PASS_CMD=$(pass x)\nPASSWORD=$1\nexport SECRET=$(pass show s)\n"
        ),
        [
            "shell_secret GITHUB_TOKEN=t0k9z",
            "- shell_secret PASSWORD indirect",
            "- shell_secret SECRET indirect"
        ]
    );
    assert_eq!(
        system(
            "etc/systemd/system/app.service",
            "[Service]\nUser=app\nEnvironment=\"DB_PASSWORD=s 3c\" LOG=debug\nEnvironmentFile=-/etc/app.conf\nWorkingDirectory=/opt/app\n\
             ExecStart=/opt/app/run --api-token=t0k9 --port 1 --password hunt3r --token-file /x\nSetCredential=db:s3c\nLoadCredential=tls:/etc/tls\n"
        ),
        [
            "unit_secret DB_PASSWORD=s 3c",
            "> /etc/app.conf",
            "> /opt/app/.env",
            "unit_secret api-token=t0k9",
            "unit_secret password=hunt3r",
            "systemd_credential db=s3c",
            "> /etc/tls",
        ]
    );
    assert_eq!(
        system(
            "opt/app/docker-compose.yml",
            "services:\n  db:\n    environment:\n      POSTGRES_PASSWORD: s3c\n      POSTGRES_DB: x\n  web:\n    environment:\n      - API_TOKEN=t0k9\n"
        ),
        [
            "env_secret POSTGRES_PASSWORD=s3c",
            "env_secret API_TOKEN=t0k9"
        ]
    );
    assert_eq!(
        system("etc/credstore/db", "s3c\n"),
        ["systemd_credential db=s3c"]
    );
    assert_eq!(
        home(
            ".ssh/config",
            "Host *\n  IdentityFile ~/.keys/work\n  IdentityFile=\"%d/x y\"\n  IdentityFile ~/.ssh/%h\n"
        ),
        ["> ~/.keys/work", "> ~/x y"]
    );
}

#[test]
fn keytabs() {
    let entry = |principal: &[&str], key: &[u8]| {
        let counted = |bytes: &[u8]| [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat();
        let mut body = (principal.len() as u16 - 1).to_be_bytes().to_vec();
        body.extend(principal.iter().flat_map(|part| counted(part.as_bytes())));
        body.extend([0, 0, 0, 1, 0, 0, 0, 0, 2, 0, 18]);
        body.extend(counted(key));
        [&(body.len() as i32).to_be_bytes()[..], &body].concat()
    };
    let hole = [&(-6_i32).to_be_bytes()[..], &[0; 6]].concat();
    let file = [
        vec![5, 2],
        entry(&["R.TEST", "host", "web"], b"k1"),
        hole,
        entry(&["R.TEST", "alice"], b"k2"),
        entry(&["R.TEST", "host", "web"], b"k3"),
    ]
    .concat();
    assert_eq!(
        system("etc/krb5.keytab", &file),
        ["keytab host/web@R.TEST=k1k3", "keytab alice@R.TEST=k2"]
    );
    assert_eq!(system("etc/krb5.keytab", [5, 2]), Vec::<String>::new());
    assert_eq!(
        system("etc/krb5.keytab", &file[..file.len() - 1]),
        [
            "? keytab a keytab that is cut short",
            "keytab host/web@R.TEST=k1",
            "keytab alice@R.TEST=k2"
        ]
    );
}

#[test]
fn no_bytes_are_too_odd() {
    let odd: [&[u8]; 8] = [
        b"",
        b"\0",
        &[0xff; 4096],
        b"-----BEGIN ",
        b"{\"a\":",
        b"\x30\x84\xff\xff\xff\xff",
        b"openssh-key-v1\0\0\0\0\x04none",
        b"= = = [ [[ ] ]] : - - < > \" ' \\ \n\\",
    ];
    let places = super::places::HOME.iter().chain(super::places::SYSTEM);
    for place in places {
        for bytes in odd {
            if let Some(read) = place.read {
                read_once(read, "/x/id_rsa", bytes);
            }
        }
    }
    assert!(Kind::ALL.len() >= 60);
}

/// Users choose what is in their files; none may keep the survey from the next.
#[test]
fn no_file_takes_long() {
    let patterns: [&[u8]; 21] = [
        b"a ",
        b"{\"",
        b"{\"a\":[",
        b"{\"auths\":{\"a\":{\"auth\":\"YTpi\"}},",
        b"- ",
        b"users:\n- name: a\n  user:\n    token: b\n",
        b"- name: a\n",
        b"a: |\n b\n",
        b"[a]\nsecret_key=b\n",
        b"PASSWORD=x \\\n",
        b"Environment=A_TOKEN=xyz123\\\n",
        b"EnvironmentFile=/a\nIdentityFile b\n",
        b"-----BEGIN A PRIVATE KEY-----\n",
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        b"<server><password>a</password>",
        b"<a b='c' ",
        b"machine a login b password c\n",
        b"a:b:c:d:e\n",
        b"https://a:b@c\n",
        b"\x95\x01\x04",
        b"\0\0\0\x02\0\0",
    ];
    let places = super::places::HOME.iter().chain(super::places::SYSTEM);
    let mut readers: Vec<recognise::Recogniser> = Vec::new();
    for read in places.filter_map(|place| place.read) {
        if readers
            .iter()
            .all(|known| !std::ptr::fn_addr_eq(*known, read))
        {
            readers.push(read);
        }
    }
    assert!(readers.len() > 50);
    for head in [
        &b""[..],
        b"SQLite format 3\0",
        b"[a]\n",
        b"\x05\x02",
        b"users:\n",
    ] {
        // After a head that one reader wants, only the patterns that it could mind.
        let few = if head.is_empty() { patterns.len() } else { 6 };
        for pattern in &patterns[..few] {
            let bytes = [head, &pattern.repeat((64 << 10) / pattern.len())].concat();
            for read in &readers {
                let started = own_time();
                read(
                    &File {
                        path: b"/x/a.json",
                        bytes: &bytes,
                    },
                    &mut |_| {},
                );
                let took = own_time() - started;
                // A debug build takes a hundredth of it; what is quadratic takes far longer.
                assert!(
                    took.as_secs() < 5,
                    "{took:?} for {}",
                    pattern.escape_ascii()
                );
            }
        }
    }
}

/// How long this thread has run: what others do on the machine does not count.
fn own_time() -> std::time::Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    let nanos = text.split(' ').next().unwrap().parse().unwrap();
    std::time::Duration::from_nanos(nanos)
}
