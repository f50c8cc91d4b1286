import Glibc
import JSONReader
import TestServer
import Testing

@testable import OpenStack

@Suite("Configuration")
struct ConfigurationTests {
    let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private let environment = [
        "OS_AUTH_URL": "https://keystone.example:5000", "OS_USERNAME": "u", "OS_PASSWORD": "hidden-password",
        "OS_PROJECT_NAME": "p", "OS_USER_DOMAIN_NAME": "Default", "OS_PROJECT_DOMAIN_ID": "default",
    ]

    private func error(
        _ environment: [String: String], cloud: String? = nil, file: String? = nil
    ) -> OpenStackError? {
        do throws(OpenStackError) {
            _ = try CloudConfiguration.load(cloud: cloud, file: file, environment: environment)
            return nil
        } catch {
            return error
        }
    }

    @Test("The OS_ variables make a password login for a project")
    func password() throws {
        var variables = environment
        variables.merge([
            "OS_REGION_NAME": "One", "OS_INTERFACE": "internalURL", "OS_CACERT": "/ca.pem",
            "OS_ORCHESTRATION_ENDPOINT_OVERRIDE": "http://heat/v1/%(project_id)s", "OS_INSECURE": "",
        ]) { $1 }
        let cloud = try CloudConfiguration.load(environment: variables)
        #expect(cloud.authURL == "https://keystone.example:5000/v3")
        #expect(cloud.region == "One")
        #expect(cloud.interface == "internal")
        #expect(cloud.tls.caFile == "/ca.pem")
        #expect(!cloud.tls.insecureSkipVerify)
        #expect(cloud.endpointOverrides == ["orchestration": "http://heat/v1/%(project_id)s"])
        #expect(
            cloud.loginBody == [
                "auth": [
                    "identity": [
                        "methods": ["password"],
                        "password": [
                            "user": ["name": "u", "domain": ["name": "Default"], "password": "hidden-password"]
                        ],
                    ],
                    "scope": ["project": ["name": "p", "domain": ["id": "default"]]],
                ]
            ])
    }

    @Test("A trust takes the project's place")
    func trust() throws {
        var variables = environment
        variables["OS_TRUST_ID"] = "t1"
        let cloud = try CloudConfiguration.load(environment: variables)
        #expect(cloud.loginBody["auth"]?["scope"] == ["OS-TRUST:trust": ["id": "t1"]])
    }

    @Test("An application credential by id needs nothing else; by name its user")
    func applicationCredential() throws {
        let byID = try CloudConfiguration.load(environment: [
            "OS_AUTH_URL": "http://k/v3/", "OS_AUTH_TYPE": "v3applicationcredential",
            "OS_APPLICATION_CREDENTIAL_ID": "a1", "OS_APPLICATION_CREDENTIAL_SECRET": "hidden-secret",
        ])
        #expect(byID.authURL == "http://k/v3")
        #expect(
            byID.loginBody == [
                "auth": [
                    "identity": [
                        "methods": ["application_credential"],
                        "application_credential": ["id": "a1", "secret": "hidden-secret"],
                    ]
                ]
            ])
        let byName = try CloudConfiguration.load(environment: [
            "OS_AUTH_URL": "http://k/v3", "OS_APPLICATION_CREDENTIAL_NAME": "updraft", "OS_USER_ID": "u1",
            "OS_APPLICATION_CREDENTIAL_SECRET": "hidden-secret",
        ])
        let inner = byName.loginBody["auth"]?["identity"]?["application_credential"]
        #expect(inner?["name"] == "updraft")
        #expect(inner?["user"] == ["id": "u1"])
    }

    @Test("What is missing is named as the person wrote it")
    func missing() {
        for (key, named) in [
            ("OS_PASSWORD", "OS_PASSWORD is missing"), ("OS_USERNAME", "OS_USERNAME is missing"),
            ("OS_PROJECT_NAME", "OS_PROJECT_NAME is missing"),
            ("OS_USER_DOMAIN_NAME", "OS_USER_DOMAIN_NAME is missing"),
        ] {
            var variables = environment
            variables[key] = nil
            #expect(error(variables)?.message.hasPrefix(named) == true, "\(key)")
            #expect(error(variables)?.code == .configuration)
        }
        for (key, value) in [
            ("OS_AUTH_TYPE", "v3oidcpassword"), ("OS_INTERFACE", "secret-ish"), ("OS_AUTH_URL", "keystone:5000"),
            ("OS_AUTH_URL", "http://k/v2.0"),
        ] {
            var variables = environment
            variables[key] = value
            #expect(error(variables)?.message.contains(key) == true, "\(key)")
        }
    }

    @Test("clouds.yaml with secure.yaml beside it")
    func file() throws {
        let clouds = try folder.write(
            "clouds.yaml",
            """
            clouds:
              prod:
                auth:
                  auth_url: https://k.example/identity
                  username: updraft
                  project_id: 1234
                  user_domain_name: Default
                region_name: RegionOne
                interface: internal
                cacert: /etc/ca.pem
                verify: false
                compute_endpoint_override: https://nova
                volume_api_version: 3
              lab:
                auth: {auth_url: "http://lab:5000/v3", application_credential_id: a}
                regions: [OnlyOne]
            """)
        _ = try folder.write(
            "secure.yaml",
            "clouds:\n  prod: {auth: {password: hidden}}\n  lab: {auth: {application_credential_secret: hidden}}\n")
        let prod = try CloudConfiguration.load(cloud: "prod", file: clouds, environment: environment)
        #expect(prod.authURL == "https://k.example/identity/v3")
        #expect(prod.region == "RegionOne" && prod.interface == "internal")
        #expect(prod.tls.insecureSkipVerify && prod.tls.caFile == "/etc/ca.pem")
        #expect(prod.endpointOverrides == ["compute": "https://nova"])
        #expect(prod.loginBody["auth"]?["scope"] == ["project": ["id": "1234"]])
        let lab = try CloudConfiguration.load(environment: ["OS_CLOUD": "lab", "OS_CLIENT_CONFIG_FILE": clouds])
        #expect(lab.region == "OnlyOne")
        let elsewhere = try CloudConfiguration.load(
            cloud: "lab", file: clouds, region: "Two", environment: [:])
        #expect(elsewhere.region == "Two")
        #expect(error([:], cloud: "nope", file: clouds)?.message.contains(#""prod", "lab""#) == true)
        #expect(error([:], file: clouds)?.message.contains("name one of them") == true)
    }

    @Test("Certificates are found from the home folder and from beside the file that names them")
    func certificates() throws {
        let clouds = try folder.write(
            "clouds.yaml",
            """
            clouds:
              prod: {auth: {auth_url: "https://k/v3", application_credential_id: a, application_credential_secret: s},
                cacert: ~/ca.pem, cert: beside.pem, key: elsewhere.pem}
            """)
        let beside = try folder.write("beside.pem", "")
        let cloud = try CloudConfiguration.load(cloud: "prod", file: clouds, environment: ["HOME": "/home/me"])
        #expect(cloud.tls.caFile == "/home/me/ca.pem")
        #expect(cloud.tls.clientCertificateFile == beside)
        #expect(cloud.tls.clientKeyFile == "elsewhere.pem")
    }

    @Test("Files are found in the home folder's place; without any the error lists where it looked")
    func search() throws {
        let home = folder.path
        mkdir("\(home)/.config", 0o700)
        mkdir("\(home)/.config/openstack", 0o700)
        defer {
            unlink("\(home)/.config/openstack/clouds.yaml")
            rmdir("\(home)/.config/openstack")
            rmdir("\(home)/.config")
        }
        #expect(error(["HOME": home])?.message.contains("\(home)/.config/openstack/clouds.yaml") == true)
        _ = try folder.write(
            ".config/openstack/clouds.yaml",
            "clouds: {only: {auth: {auth_url: http://k, username: u, password: p, project_id: p, user_domain_id: d}}}")
        let found = try CloudConfiguration.load(environment: ["HOME": home])
        #expect(found.authURL == "http://k/v3")
    }

    @Test(
        "Broken files are errors with file and line",
        arguments: [
            ("clouds: [", "clouds.yaml:"), ("other: 1", "has no mapping"),
            ("clouds: {a: 1}", "is a number and not a mapping"),
            ("clouds: {a: {auth: hidden-password}}", "clouds.yaml:1"), ("", "clouds"),
            ("clouds:\n  a: {auth: {auth_url: http://k}}\n", "auth.username is missing"),
        ])
    func broken(_ text: String, _ expected: String) throws {
        let file = try folder.write("clouds.yaml", text)
        let found = try #require(error([:], cloud: "a", file: file))
        #expect(found.code == .configuration)
        #expect(found.description.contains(expected), "\(found)")
        #expect(!found.description.contains("hidden"))
    }

    @Test("No description shows a secret")
    func secrets() throws {
        let cloud = try CloudConfiguration.load(environment: environment)
        var dumped = ""
        dump(cloud, to: &dumped)
        dump(cloud.credential, to: &dumped)
        for text in [cloud.description, String(reflecting: cloud), "\(cloud.credential)", dumped, cloud.summary] {
            #expect(!text.contains("hidden"))
        }
        #expect(cloud.summary.contains("user u, project p"))
    }
}
