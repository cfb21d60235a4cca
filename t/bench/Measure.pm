# SPDX-License-Identifier: BSD-2-Clause
#
# What can be measured of a server: requests by wrk, its processes' CPU time
# and memory, its system calls by strace.
package Measure;

use strict;
use warnings;
use FCNG::Util qw(find_tool slurp spew spawn run_bounded tmpdir wait_until);
use IO::Socket::INET ();
use POSIX ();
use Time::HiRes qw(sleep time);

# Two processors: the server has one, the load and the application the other.
sub cpus {
    my @cpus = slurp('/proc/cpuinfo') =~ /^processor\s*:/mg;
    return scalar @cpus || 1;
}

sub pins { cpus() > 1 && find_tool('taskset') ? 1 : 0 }

sub pin {
    my ($cpu, @pids) = @_;
    return if !pins();
    run_bounded(10, find_tool('taskset'), '-acp', $cpu, $_) for @pids;
}

sub pinned {
    my ($cpu, @command) = @_;
    return pins() ? (find_tool('taskset'), '-c', $cpu, @command) : @command;
}

# ---- load ----

my $scripts = 0;

# What wrk is told of more than an address: a body; a folder that is another
# one each time.
sub script {
    my (%how) = @_;
    my $lua = '';
    $lua = "wrk.method = 'POST'\nwrk.body = string.rep('x', $how{body})\n"
        if $how{body};
    if ($how{new_folder}) {
        my $path = $how{url} =~ s{^http://[^/]+}{}r;
        my ($before, $last) = $path =~ m{^(.*)/([^/]+)$};
        my $name = $$ . 'x' . $scripts++ . 'x';
        $lua .= "local n = 0\nfunction request()\nn = n + 1\n"
            . "return wrk.format(nil, '$before/$name' .. n .. '/$last')\n"
            . "end\n";
    }
    return if !$lua;
    my $dir = tmpdir();
    return ('-s', spew("$dir/load.lua", $lua));
}

sub wrk {
    my (%how) = @_;
    my $wrk = find_tool('wrk') or die "wrk missing\n";
    return pinned(1, $wrk, '-t1', "-c$how{clients}", "-d$how{seconds}s",
        '--timeout', '10s', '--latency', script(%how), $how{url});
}

# What it says at its end.
sub told {
    my ($out) = @_;
    my ($requests) = $out =~ /(\d+) requests in [\d.]+/ or return;
    my $bad = 0;
    $bad += $1 if $out =~ /Non-2xx or 3xx responses: (\d+)/;
    $bad += $1 + $2 + $3 + $4
        if $out =~ /connect (\d+), read (\d+), write (\d+), timeout (\d+)/;
    my ($rate) = $out =~ m{^Requests/sec:\s+([\d.]+)}m;
    my %us = (us => 1, ms => 1e3, s => 1e6);
    my %run = (requests => $requests, rate => $rate, bad => $bad);
    for my $part (50, 99) {
        my ($time, $unit) = $out =~ /^\s+$part%\s+([\d.]+)(us|ms|s)/m;
        $run{"p${part}_us"} = ($time // 0) * $us{$unit // 'us'};
    }
    return \%run;
}

# One run of wrk.  how: url, seconds, clients, body (bytes to POST),
# new_folder.
sub load {
    my (%how) = @_;
    my ($exit, $out, $err) = run_bounded($how{seconds} + 30, wrk(%how));
    my $run = told($out);
    die "wrk failed on $how{url}:\n$out$err\n"
        if $exit || !$run || !$run->{requests};
    return $run;
}

# One that goes on meanwhile: until it is ended, but for so many seconds.
sub load_beside {
    my (%how) = @_;
    my $log = tmpdir() . '/wrk.log';
    return { %how, log => $log, pid => spawn({ log => $log }, wrk(%how)) };
}

sub end_load {
    my ($load) = @_;
    FCNG::Util::end_child($load->{pid}, 'INT', 15);
    my $out = slurp($load->{log});
    my $run = told($out);
    die "wrk failed on $load->{url}:\n$out\n" if !$run || !$run->{requests};
    return $run;
}

# ---- processor and memory ----

# Microseconds of CPU that all threads of the processes have used.
sub cpu_us {
    my $sum = 0;
    for my $pid (@_) {
        for my $task (glob "/proc/$pid/task/*") {
            my ($ns) = slurp("$task/schedstat") =~ /^(\d+)/;
            if (!defined $ns) {
                my ($user, $system) = slurp("$task/stat")
                    =~ /\) \S(?: \S+){10} (\d+) (\d+)/;
                $ns = (($user // 0) + ($system // 0))
                    * 1e9 / POSIX::sysconf(POSIX::_SC_CLK_TCK());
            }
            $sum += $ns / 1000;
        }
    }
    return $sum;
}

# Microseconds that the machine has been busy, interrupts left out (they are
# somebody's, nobody knows whose).
sub busy_us {
    my ($user, $nice, $system, $steal) = slurp('/proc/stat')
        =~ /^cpu\s+(\d+) (\d+) (\d+) \d+ \d+ \d+ \d+ (\d+)/;
    return (($user // 0) + ($nice // 0) + ($system // 0) + ($steal // 0))
        * 1e6 / POSIX::sysconf(POSIX::_SC_CLK_TCK());
}

# Those of this process and the children it has waited for.
sub own_us {
    my $sum = 0;
    $sum += $_ for times;
    return $sum * 1e6;
}

# ---- system calls ----

# Calls of the processes in one run of load: { requests => N, calls =>
# { name => N } }; or why there is no answer.
sub system_calls {
    my ($pids, %how) = @_;
    my $strace = find_tool('strace') or return 'strace missing';
    my $dir = tmpdir();
    # Where those are that it looks at: beside the load each call waits for it.
    my $pid = spawn({ log => "$dir/log" }, pinned(0, $strace, '-c', '-f', '-o',
        "$dir/count", map { ('-p', $_) } @$pids));
    my $attached = wait_until(5, sub {
        slurp("$dir/log") =~ /attached/ });
    if (!$attached) {
        FCNG::Util::end_child($pid, 'KILL');
        return 'strace cannot attach: ' . (split /\n/, slurp("$dir/log"))[0];
    }
    my $run = load(%how);
    FCNG::Util::end_child($pid, 'INT', 10);
    my %calls;
    for my $line (split /\n/, slurp("$dir/count")) {
        my @word = split ' ', $line;
        next if @word < 5 || $word[3] !~ /^\d+$/ || $word[-1] eq 'total';
        $calls{$word[-1]} = $word[3];
    }
    return %calls ? { requests => $run->{requests}, calls => \%calls }
        : 'strace counted nothing';
}

# ---- one large exchange ----

sub speak {
    my ($port, $head) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $port) or die "connect: $!\n";
    print $socket $head;
    $socket->flush;
    return $socket;
}

# Reads a response to its end: its length without the head.
sub drain {
    my ($socket) = @_;
    my ($length, $head) = (0, '');
    while (sysread $socket, my $bytes, 262_144) {
        $length += length $bytes;
        $head .= $bytes if $head !~ /\r\n\r\n/;
    }
    die "no success:\n" . substr($head, 0, 200) . "\n"
        if $head !~ m{^HTTP/1.1 200 };
    return $length - index($head, "\r\n\r\n") - 4;
}

sub download {
    my ($port, $path) = @_;
    return drain(speak($port, "GET $path HTTP/1.1\r\nHost: localhost\r\n"
        . "Connection: close\r\n\r\n"));
}

sub upload {
    my ($port, $path, $size) = @_;
    my $socket = speak($port, "POST $path HTTP/1.1\r\nHost: localhost\r\n"
        . "Connection: close\r\nContent-Length: $size\r\n\r\n");
    my $block = 'x' x 262_144;
    for (my $left = $size; $left > 0;) {
        my $n = syswrite $socket, $block,
            $left < length $block ? $left : length $block;
        die "the upload broke off: $!\n" if !$n;
        $left -= $n;
    }
    return drain($socket);
}

# ---- arithmetic ----

sub median {
    my @sorted = sort { $a <=> $b } @_;
    return if !@sorted;
    my $half = int(@sorted / 2);
    return @sorted % 2 ? $sorted[$half]
        : ($sorted[$half - 1] + $sorted[$half]) / 2;
}

sub range {
    my @sorted = sort { $a <=> $b } @_;
    return @sorted[0, -1];
}

1;
