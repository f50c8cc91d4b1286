import Messages
import Testing

@Suite("Templates of notices") struct NoticeTemplateTests {
    let hostile: [NoticeVariable: String] = [.node: "a\"b\\c\n<&>'\u{1}é {{detail}}", .detail: "secret"]

    func filled(_ text: String, _ contentType: String) throws -> String {
        try NoticeTemplate(text, escaping: .init(contentType: contentType)).filled(hostile)
    }

    @Test("values are escaped as the content type needs it, and never read again") func escaping() throws {
        #expect(
            try filled(#"{"n":"{{node}}"}"#, "application/json")
                == #"{"n":"a\"b\\c\n<&>'\u0001é {{detail}}"}"#)
        #expect(
            try filled("n={{ node }}", "application/x-www-form-urlencoded")
                == "n=a%22b%5Cc%0A%3C%26%3E%27%01%C3%A9%20%7B%7Bdetail%7D%7D")
        #expect(
            try filled("<b>{{node}}</b>", "text/html; charset=utf-8")
                == "<b>a&quot;b\\c\n&lt;&amp;&gt;&#39;é {{detail}}</b>")
        #expect(try filled("{{node}}!", "text/plain") == "a\"b\\c\n<&>'é {{detail}}!")
    }

    @Test("kinds of content") func kinds() {
        typealias Escaping = NoticeTemplate.Escaping
        #expect(Escaping(contentType: "Application/JSON; charset=utf-8") == .json)
        #expect(Escaping(contentType: "application/cloudevents+json") == .json)
        #expect(Escaping(contentType: "application/soap+xml") == .markup)
        #expect(Escaping(contentType: "text/markdown") == .plain)
        #expect(Escaping(contentType: "") == .plain)
    }

    @Test("text without places stays as it is; what is missing is empty") func plain() throws {
        #expect(try filled("} }} { x", "text/plain") == "} }} { x")
        #expect(try filled("[{{group}}]", "text/plain") == "[]")
        #expect(NoticeTemplate.empty.filled(hostile).isEmpty)
    }

    @Test("mistakes are named with their line") func mistakes() throws {
        func mistake(_ text: String) -> NoticeTemplate.Mistake? {
            do throws(NoticeTemplate.Mistake) {
                _ = try NoticeTemplate(text, escaping: .plain)
                return nil
            } catch {
                return error
            }
        }
        #expect(mistake("a\nb {{node}}\n{{nodes}}")?.line == 3)
        #expect(mistake("a\nb {{node}")?.description == "line 2 of it: {{ without }}")
        #expect(mistake("{{}}")?.what.hasPrefix("{{}} is not known; there are {{node}}, {{group}}") == true)
        #expect(mistake("{{Node}}") != nil)
    }
}
