import Glibc
import UpdraftCommand

exit(await UpdraftCommand.run(Array(CommandLine.arguments.dropFirst())))
