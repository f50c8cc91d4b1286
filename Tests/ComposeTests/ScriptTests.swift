import Glibc
import Testing

/// What the scripts do to the machine they run on.
@Suite struct ScriptTests {
    /// Runs lines of bash in the project's folder; `$DIR` is a folder of its own. What it printed.
    private func bash(_ lines: String, within seconds: Int = 120) async throws -> String {
        // Below the folder of the run: whoever ends it looks there for what is left.
        let temporary = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        var template = Array("\(temporary)/updraft-script-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        let folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let log = "\(folder)/log"
        let process = try ServiceProcess(
            ["/bin/bash", "-uc", "cd '\(Project.root)'\n\(lines)"],
            environment: [
                "PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "HOME": folder, "DIR": folder, "LC_ALL": "C",
                "UPDRAFT_POLICY_FILE": "\(folder)/policy-rc.d", "UPDRAFT_UNITS": "\(folder)/units",
                "PROGRAMS": ServiceProcess.folder,
            ], log: log)
        let code = try await process.ended(within: seconds)
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

    /// rabbitmq-server and epmd would listen on all addresses from the next boot on.
    @Test("a broker that a package enables is switched off again, and named; what was enabled before stays")
    func enabled() async throws {
        let text = try await bash(
            """
            wants=$UPDRAFT_UNITS/multi-user.target.wants; mkdir -p "$wants"; touch "$wants/epmd.service"
            . scripts/lib/policy.sh
            updraft_without_services touch "$wants/epmd.service" "$wants/rabbitmq-server.service" "$wants/cron.service"
            ls "$wants"
            updraft_without_services true; echo 'nothing new'
            # So it is where somebody's own rule stands, which stays.
            echo 'exit 101' >"$UPDRAFT_POLICY_FILE"
            updraft_without_services touch "$wants/rabbitmq-server.service"
            ls "$wants"; cat "$UPDRAFT_POLICY_FILE"
            """)
        #expect(
            text == """
                installed, but not started with the machine: rabbitmq-server.service
                cron.service
                epmd.service
                nothing new
                installed, but not started with the machine: rabbitmq-server.service
                cron.service
                epmd.service
                exit 101

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

    @Test("what a script starts in the background no file fails to know, whenever the script is killed")
    func background() async throws {
        let text = try await bash(
            """
            cat >"$DIR/starts" <<'EOF'
            . scripts/lib/processes.sh
            echo ready
            updraft_background "$DIR/group" /dev/null bash -c 'exec -a "$0" sleep 1000' "$DIR/it"
            sleep 10
            EOF
            known=0
            for ((i = 0; i < 30; i++)); do
                rm -f "$DIR/group"; : >"$DIR/out"
                setsid bash "$DIR/starts" >"$DIR/out" &
                until grep -q ready "$DIR/out"; do :; done
                sleep "0.0$((i % 10))"; kill -KILL "$!"; wait "$!" 2>/dev/null
                # It may have begun only if it is known.
                [ ! -s "$DIR/group" ] || known=$((known + 1))
                . scripts/lib/processes.sh; sleep 0.05; updraft_kill_noted "$DIR/group"
                for ((try = 0; try < 100; try++)); do pgrep -f "$DIR/(it|group)" >/dev/null || break; sleep 0.05; done
                [ "$try" -lt 100 ] || { echo "left after $i:"; pgrep -af "$DIR/(it|group)"; exit 1; }
            done
            echo "known: $known"
            """)
        #expect(!text.contains("left after") && text.contains("known: "), "\(text)")
        #expect(!text.contains("known: 0\n"), "the killing was always too early: \(text)")
    }

    @Test("scripts/lib/interrupted sees what has an environment of its own, and fails")
    func interruptedSees() async throws {
        let text = try await bash(
            """
            cat >"$DIR/leaves" <<'EOF'
            env -i HOME="$TMPDIR/x" PATH="$PATH" setsid sleep 1000 & one=$!
            env -i PATH="$PATH" setsid bash -c 'exec -a "$0" sleep 1000' "$TMPDIR/y" & other=$!
            # A child that is only just made has not yet learned to ignore what the group gets.
            until [ "$(ps -o args= -p "$one")" = "sleep 1000" ] && [ "$(ps -o args= -p "$other")" = "$TMPDIR/y 1000" ]; do
                sleep 0.05
            done
            echo started; wait
            EOF
            scripts/lib/interrupted started bash "$DIR/leaves"; echo "it says $?"
            cat >"$DIR/waits" <<'EOF'
            trap 'echo ended; exit 1' TERM
            echo started >"$DIR/said"; sleep 1000 & wait
            EOF
            # What it advises is tried.
            for advice in 'echo fine' 'false'; do
                printf 'echo "try: %s"; echo started; exec sleep 1000\n' "$advice" >"$DIR/advises"
                scripts/lib/interrupted --try 'try:' started bash "$DIR/advises"; echo "advice $advice: $?"
            done
            # Ended itself, it ends what it plays.
            scripts/lib/interrupted never bash "$DIR/waits" &
            until [ -s "$DIR/said" ]; do sleep 0.05; done; kill -TERM "$!"; wait "$!"; echo "then $?"
            pgrep -f "$DIR/waits" || echo 'none'
            """)
        #expect(text.contains("left processes behind") && text.contains("it says 1\n"), "\(text)")
        #expect(text.split(separator: "\n").count { $0.hasPrefix("left: ") } == 3, "\(text)")
        #expect(text.contains("advice echo fine: 0\n") && text.contains("advice false: 1\n"), "\(text)")
        #expect(text.hasSuffix("then 143\nnone\n"), "\(text)")
    }

    @Test("only paths that other machines do not have are a path of one machine")
    func machinePaths() async throws {
        let text = try await bash(
            """
            . scripts/lib/machine-paths.sh
            for pair in '/home/me/updraft /home/me' '/tmp/x /' '/app ' '/src /root' '/opt/x /usr/sbin' '/usr/local/x /home/a.b/'; do
                read -r root home <<<"$pair"
                updraft_machine_paths "$root" "$home" | sed 's/^.*?//' | tr '\\n' ' '; echo
            done
            """)
        #expect(
            text == """
                /home/me/updraft/ /home/me/\u{20}
                /tmp/x/\u{20}

                /ro\u{6F}t/\u{20}
                /opt/x/\u{20}
                /home/a\\.b/\u{20}

                """)
    }

    /// Copies what the scripts need to `$DIR/p`, with a toolchain and a package manager that only say they did it, first in PATH.
    private static let stage = """
        mkdir -p "$DIR/p/Tests" "$DIR/bin"
        cp -r scripts LICENSE Package.swift "$DIR/p/"; cp -r Tests/EndToEnd "$DIR/p/Tests/"
        stub() { { echo '#!/bin/bash'; cat; } >"$DIR/bin/$1"; chmod 755 "$DIR/bin/$1"; }
        stub swift <<'EOF'
        case "$*" in
        --version) echo 'Swift version 6.3' ;;
        'test '*nothing*) echo 'Test run with 0 tests passed' ;;
        'test '*broker*)
            "$DIR/p/scripts/broker" start "$TMPDIR/updraft-broker-1" &&
                "$DIR/p/scripts/broker" start "$TMPDIR/updraft-script-1/practice/broker" && echo 'own brokers run' && sleep 1000 ;;
        'test '*) echo 'Test run with 3 tests passed' ;;
        esac
        EOF
        stub dpkg-query <<<'echo installed'
        PATH=$DIR/bin:$PATH

        """
    private static var hasRabbitMQ: Bool { access("/usr/lib/rabbitmq/bin/rabbitmq-server", X_OK) == 0 }

    @Test("scripts/lint looks at the files of an archive too, and does not pass where it finds none")
    func lintWithoutGit() async throws {
        let text = try await bash(
            Self.stage + """
                mkdir "$DIR/p/Sources"; echo '// TO''DO' >"$DIR/p/Sources/A.swift"
                "$DIR/p/scripts/lint"; echo "archive: $?"
                rm "$DIR/p/Package.swift"; "$DIR/p/scripts/lint"; echo "nothing: $?"
                """)
        #expect(text.contains("unfinished:\n  Sources/A.swift:1:") && text.contains("archive: 1\n"), "\(text)")
        #expect(text.contains("files were not found in") && text.hasSuffix("nothing: 1\n"), "\(text)")
    }

    @Test(
        "scripts/test: one run at a time; no test is no success; Ctrl-C leaves no broker of a test",
        .enabled(if: hasRabbitMQ))
    func testScript() async throws {
        let text = try await bash(
            Self.stage + """
                "$DIR/p/scripts/test" --filter some; echo "some: $?"
                "$DIR/p/scripts/test" --filter nothing; echo "nothing: $?"
                flock "$DIR/p/.build/test/lock" "$DIR/p/scripts/test" --filter some; echo "beside: $?"
                scripts/lib/interrupted 'own brokers run' "$DIR/p/scripts/test" --filter broker; echo "interrupted: $?"
                """, within: 400)
        #expect(text.contains("Test run with 3 tests passed\nsome: 0\n"), "\(text)")
        #expect(text.contains("test: no test ran\nnothing: 1\n"), "\(text)")
        #expect(text.contains("test: another run is under way in ") && text.contains("beside: 1\n"), "\(text)")
        #expect(text.hasSuffix("ended with 130, nothing is left\ninterrupted: 0\n"), "\(text)")
    }

    /// sudo asks for a password only where there is a terminal: a session of its own has none.
    @Test("scripts/e2e installs in the caller's session, before anything is started; one run for a cloud")
    func endToEndPackages() async throws {
        let text = try await bash(
            Self.stage + """
                stub dpkg-query <<<'exit 1'
                stub id <<<'[ "$1" = -u ] && echo 1000 || exec /usr/bin/id "$@"'
                stub sudo <<<'echo "$(ps -o sid= -p $$) $*" >>"$DIR/sudo"; exit "$(cat "$DIR/sudo.exit")"'
                echo 0 >"$DIR/sudo.exit"
                "$DIR/p/scripts/e2e" --packages stats-; echo "packages: $?"
                for package in python3-heat python3-nova python3-gnocchi; do grep -q "$package" "$DIR/sudo" && echo "$package"; done
                ours=$(ps -o sid= -p $$); grep -v "^$ours " "$DIR/sudo"
                echo 1 >"$DIR/sudo.exit"
                "$DIR/p/scripts/e2e" main- >"$DIR/out" 2>&1; echo "no password: $?"; grep 'side by side' "$DIR/out"
                mkdir -p "$DIR/q/.build"; cp -r "$DIR/p/scripts" "$DIR/p/Tests" "$DIR/q/"
                flock "$DIR/.local/state/openstack-rig.lock" "$DIR/q/scripts/e2e" main-; echo "beside: $?"
                """)
        #expect(text.contains("packages: 0\npython3-heat\npython3-nova\npython3-gnocchi\nno password: 1\n"), "\(text)")
        #expect(text.contains("e2e: another run is under way") && text.hasSuffix("beside: 1\n"), "\(text)")
    }

    @Test("a port of the rig that somebody else has is named before anything is started")
    func takenPort() async throws {
        // Those of a rig that runs here must not matter.
        let base = Int.random(in: 20_000..<31_000)
        let text = try await bash(
            Self.stage + """
                python3 -m http.server \(base + 3) --bind 127.0.0.1 >/dev/null 2>&1 & stranger=$!
                until (exec 3<>/dev/tcp/127.0.0.1/\(base + 3)) 2>/dev/null; do sleep 0.1; done
                export OPENSTACK_RIG_STATE=$DIR/rig DB_PORT=\(base) RABBIT_PORT=\(base + 1) KEYSTONE_PORT=\(base + 2)
                HEAT_PORT=\(base + 3) CFN_PORT=\(base + 4) "$DIR/p/Tests/EndToEnd/openstack/up" --no-install; echo "up: $?"
                kill "$stranger"; ls "$DIR/rig/run"
                """)
        #expect(text.contains("port \(base + 3), for heat-api, is taken by another program (HEAT_PORT"), "\(text)")
        #expect(text.hasSuffix("up: 1\n"), "\(text)")
    }

    @Test("without root and sudo it is said what to install; without HOME a toolchain in PATH is found")
    func withoutRights() async throws {
        let text = try await bash(
            Self.stage + """
                stub dpkg-query <<<'exit 1'
                stub id <<<'echo 1000'
                . scripts/lib/rabbitmq.sh
                (unset HOME; updraft_find_swift) && echo 'found'
                (PATH=$DIR/bin; updraft_install_packages one two); echo "packages: $?"
                (PATH=$DIR/bin UPDRAFT_RABBITMQ_BIN=/nowhere; updraft_rabbitmq_install); echo "broker: $?"
                """)
        #expect(text.hasPrefix("found\n"), "\(text)")
        #expect(text.contains("not root, and there is no sudo; as root: apt-get install"), "\(text)")
        #expect(text.contains(" one two\npackages: 1\n"), "\(text)")
        #expect(text.contains("recommends rabbitmq-server\n"), "\(text)")
        #expect(text.hasSuffix("broker: 1\n"), "\(text)")
    }

    @Test("scripts/test plays every story but those that it says are played by hand")
    func allStories() async throws {
        let text = try await bash(
            """
            . <(grep '^stories=' scripts/test)
            scripts/e2e --list | while read -r name; do
                played=
                for pattern in "${stories[@]}"; do [[ $name != *"$pattern"* ]] || played=yes; done
                [ -n "$played" ] || echo "$name"
            done
            """)
        #expect(text == "stats-doctor\n", "not played: \(text)")
    }

    @Test("a proxy's exceptions stay as they are, and this machine is one more")
    func proxies() async throws {
        let text = try await bash(
            """
            ask() { env -u no_proxy -u NO_PROXY "$@" bash -uc '. scripts/lib/packages.sh; echo "$no_proxy $NO_PROXY"'; }
            ask A=b; ask NO_PROXY=.corp.example; ask no_proxy=a,b NO_PROXY=c; ask no_proxy='*'
            """)
        let own = "localhost,127.0.0.1,::1"
        #expect(
            text == "\(own) \(own)\n\(own),.corp.example \(own),.corp.example\n\(own),a,b \(own),a,b\n* *\n")
    }

    @Test("scripts/demo leaves alone what is in a folder that is no demo's")
    func foreignFolder() async throws {
        let text = try await bash(
            Self.stage + """
                mkdir -m 755 -p "$DIR/mine/cloud"; echo precious >"$DIR/mine/cloud/file"
                UPDRAFT_RABBITMQ_BIN=$DIR/bin; stub rabbitmq-server <<<'exit 1'; export UPDRAFT_RABBITMQ_BIN
                UPDRAFT_DEMO_STATE=$DIR/mine "$DIR/p/scripts/demo" --no-build; echo "it says $?"
                cat "$DIR/mine/cloud/file"; stat -c %a "$DIR/mine"
                """)
        #expect(text.contains("is not empty, and no demo's") && text.hasSuffix("it says 2\nprecious\n755\n"), "\(text)")
    }

    @Test("the commands of docs/practice-cloud.md work as they stand there", .enabled(if: hasRabbitMQ))
    func practicePage() async throws {
        let page = try Project.text("docs/practice-cloud.md")
        let start = try #require(page.firstRange(of: "```sh\n"))
        let end = try #require(page[start.upperBound...].firstRange(of: "\n```"))
        // Folders and ports of the page may be somebody's.
        let port = UInt16.random(in: 20_000..<32_000)
        let lines = page[start.upperBound..<end.lowerBound]
            .replacing("PATH=$PWD/.build/release:$PATH", with: "PATH=$PROGRAMS:$PATH")
            .replacing("/tmp/practice", with: "$DIR/practice").replacing("127.0.0.1:9480", with: "127.0.0.1:\(port)")
        // Whatever line fails, nothing stays.
        let ends = "trap 'kill $(jobs -p) 2>/dev/null || true; scripts/broker kill \"$DIR/practice/broker\"' EXIT"
        let text = try await bash(
            "set -e; export UPDRAFT_HEALTH_LISTEN=127.0.0.1:0\n\(ends)\n\(lines)\nwait || true\necho 'at the end'",
            within: 300)
        #expect(text.contains("workers") && text.contains("at the end\n"), "\(text)")
    }

    @Test("scripts/bench --check hands the question on, measures everything, and fails where one aim was missed")
    func bench() async throws {
        let text = try await bash(
            #"""
            cat >"$DIR/updraft" <<'END'
            #!/bin/sh
            case "$*" in
            *--list) printf '%s\n' one two three ;;
            *two*--check*) echo "$*"; exit 1 ;;
            *two*) [ -z "${BROKEN:-}" ] || exit 4; echo "$*" ;;
            *) echo "$*" ;;
            esac
            END
            chmod +x "$DIR/updraft"
            export UPDRAFT_BINARIES=$DIR
            scripts/bench --decide --no-build --check; echo "status $?"
            scripts/bench --decide --no-build --json; echo "status $?"
            BROKEN=yes scripts/bench --decide --no-build; echo "status $?"
            """#)
        #expect(
            text == """
                bench decide --workload one --check
                bench decide --workload two --check
                bench decide --workload three --check
                bench: missed aims: two
                status 1
                bench decide --workload one --json
                bench decide --workload two --json
                bench decide --workload three --json
                status 0
                bench decide --workload one
                status 4

                """)
    }
}
