import Testing

@testable import AMQP

@Suite struct TransportURLTests {
    @Test func `The form of oslo's documentation`() throws {
        let url = try TransportURL("rabbit://stack:secret@10.0.0.1:5672,stack:other@10.0.0.2:5673/nova")
        #expect(url.virtualHost == "nova")
        #expect(!url.tls)
        #expect(url.hosts.map(\.host) == ["10.0.0.1", "10.0.0.2"])
        #expect(url.hosts.map(\.port) == [5672, 5673])
        #expect(url.hosts.map(\.user) == ["stack", "stack"])
        #expect(url.hosts.map(\.password) == ["secret", "other"])
    }

    @Test(arguments: ["rabbit://h", "rabbit://h/", "rabbit://h//", "rabbit://h/%2f", "rabbit://h:5672/%2F?x=1"])
    func `No virtual host is the default one`(text: String) throws {
        let url = try TransportURL(text)
        #expect(url.virtualHost == "/")
        #expect(url.hosts.map(\.host) == ["h"])
        #expect(url.hosts.map(\.port) == [5672])
    }

    @Test func `Percent-encoding is undone in user, password and virtual host`() throws {
        let url = try TransportURL("rabbit://a%40b:p%2Fw%3a%2C%25@h/v%20%C3%A4")
        #expect(url.hosts[0].user == "a@b")
        #expect(url.hosts[0].password == "p/w:,%")
        #expect(url.virtualHost == "v ä")
    }

    @Test func `A host without user takes the first one named, and none at all is guest`() throws {
        let some = try TransportURL("rabbit://h1,u:p@h2,v:q@h3/")
        #expect(some.hosts.map(\.user) == ["u", "u", "v"])
        #expect(some.hosts.map(\.password) == ["p", "p", "q"])
        let none = try TransportURL("rabbit://h1,h2/")
        #expect(none.hosts.map(\.user) == ["guest", "guest"])
    }

    @Test(arguments: [
        ("rabbits://h", 5671), ("amqps://h", 5671), ("rabbit://h?ssl=true", 5671), ("amqp://h?ssl=0", 5672),
    ])
    func `TLS is asked for by scheme or query`(text: String, port: Int) throws {
        let url = try TransportURL(text)
        #expect(url.tls == (port == 5671))
        #expect(Int(url.hosts[0].port) == port)
    }

    @Test func `IPv6 addresses stand in brackets`() throws {
        let url = try TransportURL("rabbit://u:p@[2001:db8::1]:5673,[::1]/")
        #expect(url.hosts.map(\.host) == ["2001:db8::1", "::1"])
        #expect(url.hosts.map(\.port) == [5673, 5672])
    }

    @Test(arguments: [
        "", "h:5672", "http://h/", "rabbit://", "rabbit:///vhost", "rabbit://h:0/", "rabbit://h:65536/",
        "rabbit://h:x/", "rabbit://u:p@@h/", "rabbit://u:p@h,,h2/", "rabbit://[::1/", "rabbit://[::1]x/",
        "rabbit://u:%zz@h/", "rabbit://u:%4@h/", "rabbit://h/%ff", "rabbit://h h/", "rabbit://h/%00",
        "rabbit://u:pa/ss@h/",
    ])
    func `What cannot be read is refused without a word of the password`(text: String) {
        let error = #expect(throws: AMQPError.self) { try TransportURL(text) }
        #expect(error?.code == .invalidURL)
        #expect(error?.isLasting == true)
        #expect(error?.text.contains("pa") == false || text != "rabbit://u:pa/ss@h/")
    }

    @Test func `No description shows a password`() throws {
        let url = try TransportURL("rabbits://user:hunter2@h:1,u2:hunter2@[::1]:2/v")
        #expect(url.description == "rabbits://user:***@h:1,u2:***@[::1]:2/v")
        let settings = AMQPSettings(url: url)
        var dumped = ""
        dump(settings, to: &dumped)
        dump(url.hosts, to: &dumped)
        for text in ["\(url)", "\(settings)", String(reflecting: settings), "\(url.hosts)", dumped] {
            #expect(!text.contains("hunter2"))
        }
    }
}
