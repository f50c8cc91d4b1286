import Glibc
import Testing

/// What the scripts do to the machine they run on.
@Suite struct ScriptTests {
    /// Runs lines of bash in the project's folder; `$DIR` is a folder of its own. What it printed.
    private func bash(_ lines: String) async throws -> String {
        var template = Array("/tmp/updraft-script-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        let folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let log = "\(folder)/log"
        let process = try ServiceProcess(
            ["/bin/bash", "-uc", "cd '\(Project.root)'\n\(lines)"],
            environment: [
                "PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "HOME": folder, "DIR": folder, "LC_ALL": "C",
                "UPDRAFT_POLICY_FILE": "\(folder)/policy-rc.d",
            ], log: log)
        let code = try await process.ended(within: 120)
        let file = try #require(fopen(log, "re"))
        var bytes = [UInt8](repeating: 0, count: 1 << 16)
        let count = fread(&bytes, 1, bytes.count, file)
        fclose(file)
        let text = String(decoding: bytes.prefix(count), as: UTF8.self)
        #expect(code == 0, "\(text)")
        if let removal = try? ServiceProcess(["/bin/rm", "-rf", folder], environment: [:], log: "/dev/null") {
            _ = try await removal.ended(within: 30)
        }
        return text
    }

    @Test("while packages are installed services may not start; afterwards all is as before, whatever came of it")
    func policy() async throws {
        let text = try await bash(
            """
            . scripts/lib/policy.sh
            policy=$UPDRAFT_POLICY_FILE
            updraft_without_services sh -c '"$0"; echo "forbidden: $?"' "$policy"
            updraft_without_services sh -c 'exit 7'; echo "its status: $?"
            [ -e "$policy" ] || echo 'gone'
            echo 'of somebody else' >"$policy"
            updraft_without_services true; cat "$policy"
            printf '#!/bin/sh\\nexit 101\\n' >"$policy"
            updraft_without_services true; [ -e "$policy" ] && echo 'also if it looks like ours'
            """)
        #expect(
            text == """
                forbidden: 101
                its status: 7
                gone
                of somebody else
                also if it looks like ours

                """)
    }

    @Test("Ctrl-C in an installation takes its policy away; what a killed one left is taken away by the next")
    func interruptedPolicy() async throws {
        let text = try await bash(
            """
            cat >"$DIR/install" <<'EOF'
            . scripts/lib/policy.sh
            updraft_without_services sh -c 'test -x "$UPDRAFT_POLICY_FILE" && echo installing; exec sleep 100'
            EOF
            scripts/lib/interrupted installing bash "$DIR/install" | sed 's/ with .*//'
            [ -e "$UPDRAFT_POLICY_FILE" ] || echo 'gone'
            # Killed: nobody cleans up.
            setsid bash "$DIR/install" >"$DIR/out" &
            until grep -q installing "$DIR/out"; do sleep 0.05; done
            kill -KILL -- "-$!"; wait
            [ -e "$UPDRAFT_POLICY_FILE" ] && echo 'left'
            . scripts/lib/policy.sh
            updraft_without_services true
            [ -e "$UPDRAFT_POLICY_FILE" ] || echo 'gone too'
            """)
        #expect(text.hasPrefix("interrupted at 'installing': ended"), "\(text)")
        for word in ["\ngone\n", "left\n", "gone too\n"] { #expect(text.contains(word), "\(text)") }
    }

    @Test("of processes written down only those are ended that are still the same")
    func noted() async throws {
        let text = try await bash(
            """
            . scripts/lib/processes.sh
            birth() { sed 's/.*) //' "/proc/$1/stat" | cut -d' ' -f20; }
            setsid sleep 100 & ours=$!
            setsid sleep 101 & stranger=$!
            setsid sleep 102 & old=$!
            until [ "$(ps -o pgid= "$ours" "$stranger" "$old" | sort -u | wc -l)" = 3 ]; do sleep 0.05; done
            printf '%s %s\\n%s 1\\n%s\\nnonsense\\n\\n' "$ours" "$(birth "$ours")" "$stranger" "$old" >"$DIR/pids"
            updraft_kill_noted "$DIR/pids"
            updraft_kill_noted "$DIR/none"
            wait "$ours" 2>/dev/null; echo "ours: $?"
            kill -0 "$stranger" && kill -0 "$old" && echo 'the others live'
            kill -KILL "$stranger" "$old"
            """)
        #expect(text.contains("ours: 137\n") && text.contains("the others live\n"), "\(text)")
    }
}
