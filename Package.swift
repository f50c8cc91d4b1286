// swift-tools-version: 6.1
// Updraft: autoscaling for Kubernetes clusters on OpenStack Heat. No outside packages: the C libraries come from
// the distribution, each behind one system-library target (a "C door") that exactly one Swift module imports.

import PackageDescription

let debian = { (packages: String...) -> [SystemPackageProvider] in [.apt(packages)] }

/// A Swift module of this package, always in Swift 6 language mode.
func module(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: [.swiftLanguageMode(.v6)])
}

/// An executable of a few lines: everything it does lives in a library target.
func program(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .executableTarget(name: name, dependencies: dependencies, swiftSettings: [.swiftLanguageMode(.v6)])
}

/// Tests of one module (`Tests/<name>`).
/// `files` are folders of it that the tests read themselves (fixtures).
func tests(_ name: String, _ dependencies: [Target.Dependency], files: [String] = []) -> Target {
    .testTarget(
        name: name, dependencies: dependencies, exclude: files, swiftSettings: [.swiftLanguageMode(.v6)])
}

let package = Package(
    name: "updraft",
    products: [
        .executable(name: "updraft-collector", targets: ["updraft-collector"]),
        .executable(name: "updraft-decider", targets: ["updraft-decider"]),
        .executable(name: "updraft-actuator", targets: ["updraft-actuator"]),
        .executable(name: "updraft-notifier", targets: ["updraft-notifier"]),
        .executable(name: "updraft", targets: ["updraft"]),
    ],
    targets: [
        // C doors
        .systemLibrary(name: "CRabbitMQ", pkgConfig: "librabbitmq", providers: debian("librabbitmq-dev")),
        .systemLibrary(name: "CCurl", pkgConfig: "libcurl", providers: debian("libcurl4-openssl-dev")),
        .systemLibrary(name: "COpenSSL", pkgConfig: "openssl", providers: debian("libssl-dev")),
        .systemLibrary(name: "CYAML", pkgConfig: "yaml-0.1", providers: debian("libyaml-dev")),
        .systemLibrary(name: "CMicrohttpd", pkgConfig: "libmicrohttpd", providers: debian("libmicrohttpd-dev")),

        // What Swift cannot call itself, in C. One target a library: a program links only what it uses.
        .target(name: "CShims"),
        .target(name: "CShimsRabbitMQ", linkerSettings: [.linkedLibrary("rabbitmq")]),
        .target(name: "CShimsCurl", linkerSettings: [.linkedLibrary("curl")]),
        .target(
            name: "CShimsMicrohttpd", linkerSettings: [.linkedLibrary("microhttpd"), .linkedLibrary("gnutls")]),
        .target(name: "CScan"),
        .target(name: "CMemory"),

        // Base: no I/O
        module("Support"),
        module("JSONReader", ["CScan", "Support"]),
        module("Crypto", ["COpenSSL", "Support"]),
        module("Messages", ["Support"]),

        // Clients
        module("AMQP", ["CRabbitMQ", "COpenSSL", "CShims", "CShimsRabbitMQ", "Support"]),
        module("HTTPClient", ["CCurl", "CShimsCurl", "Support"]),
        module("HTTPServer", ["CMicrohttpd", "CShims", "CShimsMicrohttpd", "Support"]),
        module("Kubernetes", ["HTTPClient", "JSONReader", "Messages", "Support", "YAML"]),
        module("OpenStack", ["HTTPClient", "JSONReader", "Support", "YAML"]),
        module("Bus", ["AMQP", "Crypto", "Messages", "Support"]),

        // Runtime
        module("YAML", ["CYAML", "Support"]),
        module("Settings", ["YAML", "JSONReader", "Support", "Messages"]),
        module(
            "ServiceRuntime", ["CMemory", "HTTPServer", "Settings", "AMQP", "Bus", "Crypto", "Support", "Messages"]),

        // Services
        module(
            "Collector",
            [
                "Bus", "Crypto", "HTTPClient", "HTTPServer", "JSONReader", "Kubernetes", "Messages", "OpenStack",
                "ServiceRuntime",
                "Settings", "Support",
            ]),
        module("Decider", ["Messages", "JSONReader", "Bus", "ServiceRuntime", "Settings", "Support"]),
        module(
            "Actuator",
            [
                "Messages", "Kubernetes", "OpenStack", "HTTPClient", "Bus", "Crypto", "JSONReader", "ServiceRuntime",
                "Settings", "Support",
            ]),
        module(
            "Notifier",
            [
                "Messages", "Kubernetes", "HTTPClient", "HTTPServer", "Bus", "Crypto", "JSONReader", "ServiceRuntime",
                "Settings", "Support",
            ]),

        // The user's command and the practice cloud
        module("PracticeCloud", ["HTTPServer", "HTTPClient", "JSONReader", "AMQP", "Messages", "Support"]),
        module("Rehearsal", ["Collector", "Decider", "Actuator", "Notifier", "Messages", "JSONReader", "Support"]),
        module(
            "UpdraftCommand",
            [
                "Actuator", "PracticeCloud", "Rehearsal", "Collector", "Decider", "Crypto", "Messages", "Bus", "AMQP",
                "HTTPClient", "Kubernetes", "OpenStack",
                "ServiceRuntime", "Settings", "JSONReader", "Support",
            ]),
        program("updraft-collector", ["Collector", "ServiceRuntime"]),
        program("updraft-decider", ["Decider"]),
        program("updraft-actuator", ["Actuator", "ServiceRuntime"]),
        program("updraft-notifier", ["Notifier", "ServiceRuntime"]),
        program("updraft", ["UpdraftCommand"]),

        // Tests
        tests("SupportTests", ["Support"]),
        tests("JSONReaderTests", ["JSONReader"], files: ["Fixtures"]),
        tests("CryptoTests", ["Crypto"]),
        tests("MessagesTests", ["Messages", "Support"], files: ["Fixtures"]),
        tests("AMQPTests", ["AMQP", "Support", "TestServer"]),
        tests("BusTests", ["Bus", "Messages", "Crypto"]),
        .target(
            name: "TestServer", dependencies: ["Support"], path: "Tests/TestServer",
            swiftSettings: [.swiftLanguageMode(.v6)]),
        tests("HTTPClientTests", ["HTTPClient", "HTTPServer", "Support", "TestServer"]),
        tests("HTTPServerTests", ["HTTPServer", "HTTPClient", "Support", "TestServer"]),
        tests(
            "KubernetesTests",
            [
                "Kubernetes", "HTTPClient", "HTTPServer", "JSONReader", "Messages", "Support", "TestServer", "YAML",
            ],
            files: ["Fixtures"]),
        tests(
            "OpenStackTests", ["OpenStack", "HTTPClient", "JSONReader", "Support", "TestServer"], files: ["Fixtures"]),
        tests("YAMLTests", ["YAML"]),
        tests("ComposeTests", ["HTTPClient", "HTTPServer", "Settings", "Support", "TestServer", "YAML"]),
        tests("SettingsTests", ["Settings", "Messages", "Support", "TestServer"]),
        tests(
            "ServiceRuntimeTests",
            ["ServiceRuntime", "HTTPClient", "HTTPServer", "Settings", "Bus", "Messages", "Support"]),
        tests(
            "CollectorTests",
            [
                "Bus", "Collector", "Crypto", "HTTPClient", "HTTPServer", "JSONReader", "Kubernetes", "Messages",
                "OpenStack", "ServiceRuntime", "Settings", "Support", "TestServer", "YAML",
            ], files: ["Fixtures"]),
        tests(
            "DeciderTests", ["Decider", "JSONReader", "Messages", "Settings", "Support", "TestServer"],
            files: ["Scenarios"]),
        tests(
            "ActuatorTests",
            [
                "Actuator", "JSONReader", "Messages", "OpenStack", "ServiceRuntime", "Settings", "Support",
                "TestServer",
            ]),
        tests(
            "NotifierTests",
            [
                "HTTPClient", "HTTPServer", "JSONReader", "Messages", "Notifier", "ServiceRuntime", "Settings",
                "Support",
                "TestServer",
            ]),
        tests(
            "RemovalTests",
            [
                "Actuator", "Collector", "Decider", "HTTPClient", "HTTPServer", "JSONReader", "Kubernetes", "Messages",
                "Notifier", "OpenStack", "PracticeCloud", "ServiceRuntime", "Settings", "Support", "YAML",
            ]),
        tests(
            "PracticeCloudTests",
            [
                "PracticeCloud", "HTTPClient", "HTTPServer", "JSONReader", "Kubernetes", "Messages", "OpenStack",
                "Support",
            ],
            files: ["Fixtures"]),
        tests("RehearsalTests", ["Rehearsal", "Messages", "Support", "TestServer"]),
        tests(
            "UpdraftCommandTests",
            [
                "UpdraftCommand", "Actuator", "Decider", "HTTPClient", "JSONReader", "Kubernetes", "Messages",
                "OpenStack", "PracticeCloud", "ServiceRuntime", "Settings", "Support",
            ], files: ["Recordings"]),
        tests(
            "IntegrationTests",
            [
                "AMQP", "Bus", "Crypto", "Decider", "HTTPClient", "HTTPServer", "JSONReader", "Messages",
                "PracticeCloud", "ServiceRuntime", "Settings", "Support", "TestServer", "UpdraftCommand",
                "updraft-actuator", "updraft-collector", "updraft-decider", "updraft-notifier",
            ], files: ["oslo"]),
    ]
)
