# Completion of idem for fish.

function __idem_complete
    set -l words (commandline -opc)
    set -l cur (commandline -ct)
    set -l text (string unescape -- $cur 2>/dev/null; or string unescape -- $cur\" 2>/dev/null; or string unescape -- $cur\' 2>/dev/null)
    set -l lines ($words[1] __complete $words[2..-1] "$text" 2>/dev/null)
    set -q lines[1]; or return
    set -l directive (string replace ':' '' -- $lines[-1])
    set -e lines[-1]
    set -l command (math "floor($directive / 64) % 2")
    set -l dirs (math "floor($directive / 16) % 2")
    set -l nofiles (math "floor($directive / 4) % 2")

    set -l before (string match -r -- '^--[^=]*=' "$text")
    set -l value (string replace -r -- '^--[^=]*=' '' "$text")
    if test $command = 1
        set -l first (math "floor($directive / 256) + 2")
        complete -C (string join -- ' ' (string escape -- $words[$first..-1]) $cur)
    else if test $dirs = 1
        string replace -r -- "^" "$before" (__fish_complete_directories $value)
    else if test $nofiles = 0 -a -z "$lines"
        string replace -r -- "^" "$before" (__fish_complete_path $value)
    else
        for line in $lines
            printf "%s\n" "$before$line"
        end
    end
end

complete -c idem -e
complete -c idem -f -k -a '(__idem_complete)'
