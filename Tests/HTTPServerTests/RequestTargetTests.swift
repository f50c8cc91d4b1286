import Testing

@testable import HTTPServer

@Suite struct RequestTargetTests {
    @Test func pathAndQueryAreDecoded() throws {
        let target = try #require(RequestTarget("/api/v1/pods%20x?watch=&a+b=c%2Bd&limit=500&flag"))
        #expect(target.path == "/api/v1/pods x")
        #expect(target.query.map(\.name) == ["watch", "a b", "limit", "flag"])
        #expect(target.query.map(\.value) == ["", "c+d", "500", ""])
    }

    @Test func plusInAPathStaysPlus() throws {
        #expect(try #require(RequestTarget("/a+b")).path == "/a+b")
    }

    @Test func absoluteFormLosesItsHost() throws {
        #expect(try #require(RequestTarget("http://example.com/x?y=1")).path == "/x")
        #expect(try #require(RequestTarget("http://example.com")).path == "/")
    }

    @Test(arguments: ["", "x", "/%", "/%4", "/%zz", "/%00", "/%ff", "/a?b=%c3"])
    func malformedTargetsAreRefused(_ text: String) {
        #expect(RequestTarget(text) == nil)
    }
}
