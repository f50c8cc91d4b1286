import FoundationEssentials
import JSONReader
import Kubernetes
import TestServer
import Testing

@Suite("kubeconfig and in-cluster configuration")
struct KubeconfigTests {
    private func text(cluster: String = "", user: String) -> String {
        """
        apiVersion: v1
        kind: Config
        current-context: main
        clusters:
        - name: prod
          cluster:
            server: https://10.0.0.1:6443/
            \(cluster)
        users:
        - name: me
          user:
            \(user)
        contexts:
        - name: main
          context: {cluster: prod, user: me, namespace: team-a}
        - name: broken
          context: {cluster: nowhere, user: me}
        """
    }

    private func message(_ text: String, context: String? = nil) -> String {
        do throws(KubernetesError) {
            let configuration = try KubernetesConfiguration.kubeconfig(text: text, file: "/x/config", context: context)
            return "no error: \(configuration)"
        } catch {
            #expect(error.code == .configuration)
            return error.message
        }
    }

    @Test("a token, an authority as data, a namespace")
    func token() throws {
        let configuration = try KubernetesConfiguration.kubeconfig(
            text: text(cluster: "certificate-authority-data: UEVN", user: "token: \"0123\""), file: "/x/config")
        #expect(configuration.server == "https://10.0.0.1:6443")
        #expect(configuration.tls.caData == Array("PEM".utf8))
        #expect(configuration.authentication == .token("0123"))
        #expect(configuration.namespace == "team-a")
        #expect(!"\(configuration)".contains("0123"))
    }

    @Test("files are found beside the file that names them")
    func files() throws {
        let scratch = try TemporaryFolder()
        try scratch.write("ca.pem", "CA")
        try scratch.write("me.pem", "CERT")
        try scratch.write("me.key", "KEY")
        let file = try scratch.write(
            "config",
            text(
                cluster: "certificate-authority: ca.pem\n    tls-server-name: kube.example",
                user: "client-certificate: me.pem\n    client-key: me.key"))
        let configuration = try KubernetesConfiguration.kubeconfig(path: file)
        #expect(configuration.tls.caFile == "\(scratch.path)/ca.pem")
        #expect(configuration.tls.clientKeyFile == "\(scratch.path)/me.key")
        #expect(configuration.tls.serverName == "kube.example")
        #expect(configuration.authentication == .none)
    }

    @Test("several files: the first to name a thing counts, missing ones are passed over")
    func merged() throws {
        let scratch = try TemporaryFolder()
        let first = try scratch.write("one", text(user: "token: first"))
        let second = try scratch.write("two", text(user: "token: second"))
        let path = "\(scratch.path)/none:\(first):\(second)"
        #expect(try KubernetesConfiguration.kubeconfig(path: path).authentication == .token("first"))
        #expect(throws: KubernetesError.self) { try KubernetesConfiguration.kubeconfig(path: "\(scratch.path)/none") }
    }

    @Test("each mistake is named with file and place")
    func mistakes() {
        #expect(message(text(user: "token: x"), context: "typo").contains("no context 'typo'; there are: broken, main"))
        #expect(message(text(user: "token: x"), context: "broken").contains("no cluster 'nowhere'"))
        #expect(
            message(text(user: "client-key: nope.key")).contains(
                "users[0] 'me': client-key: /x/nope.key cannot be read"))
        #expect(message(text(cluster: "certificate-authority-data: '%%%'", user: "token: x")).contains("is not base64"))
        #expect(message(text(user: "auth-provider: {name: gcp}")).contains("auth-provider is not supported"))
        #expect(message(text(user: "exec: {command: x}")).contains("exec.apiVersion"))
        #expect(
            message(text(cluster: "insecure-skip-tls-verify: maybe", user: "token: x")).contains(
                "must be true or false"))
        #expect(message("clusters: [").contains("/x/config"))
        #expect(message("just text").contains("current-context is not set"))
        #expect(message(text(user: "token: x").replacing("https://10", with: "ftp://10")).contains("must begin with"))
    }

    @Test("as a pod: from the environment and the service account's folder")
    func inCluster() throws {
        let scratch = try TemporaryFolder()
        try scratch.write("ca.crt", "CA")
        try scratch.write("namespace", "updraft")
        let environment = ["KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"]
        #expect(throws: KubernetesError.self) {
            try KubernetesConfiguration.inCluster(environment: environment, folder: scratch.path)
        }
        try scratch.write("token", "secret\n")
        let configuration = try KubernetesConfiguration.inCluster(environment: environment, folder: scratch.path)
        #expect(configuration.server == "https://[fd00::1]:443")
        #expect(configuration.namespace == "updraft")
        #expect(configuration.authentication == .tokenFile("\(scratch.path)/token"))
        #expect(throws: KubernetesError.self) { try KubernetesConfiguration.inCluster(environment: [:]) }
    }
}
