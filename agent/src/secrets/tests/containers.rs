//! Credentials of containers and what orchestrates them.

use super::home;

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
