# shellcheck shell=bash
# Which paths nobody else has. Source this file.

# Regular expressions for paths that only this machine has: where the project lies, and the caller's home folder. None for
# what others have too (a folder of the system, or one right below /), which the sources may name.
updraft_machine_paths() { # ROOT HOME
    local path boundary='(^|[[:space:]=(:,])["'"'"'`]?'
    for path in "$@"; do
        path=/${path#"${path%%[!/]*}"}
        path=${path%"${path##*[!/]}"}
        case $path in
        /root) ;;
        /etc/* | /usr/* | /bin/* | /sbin/* | /dev/* | /proc/* | /sys/* | /var/run/* | /run/*) continue ;;
        /*/?*) ;;
        *) continue ;;
        esac
        printf '%s%s/\n' "$boundary" "$(sed 's/[][\.*^$+?(){}|]/\\&/g' <<<"$path")"
    done
}
