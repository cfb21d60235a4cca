# SPDX-License-Identifier: BSD-2-Clause
#
# What every driver needs: temporary folders that a server which dropped its
# rights can read, free ports, child processes that never outlive the test,
# and waiting for a condition instead of for a time.
package FCNG::Util;

use strict;
use warnings;
use Cwd qw(abs_path);
use Exporter 'import';
use File::Basename qw(dirname);
use FCNG::Tmp ();
use File::Temp ();
use IO::Socket::INET ();
use POSIX ();
use Time::HiRes qw(sleep time);

our @EXPORT_OK = qw(tmpdir free_port wait_until find_tool top out nobody
    spawn run_bounded in_one_turn slurp spew random_bytes forget_fd keep_fd
    close_kept note_line server_user built);

my %children;              # pid => 1, of this process alone
my $owner = $$;
my %kept;                  # descriptors that a forked application closes

# The root of the sources, also when prove is run from elsewhere.
sub top {
    return $ENV{FCNG_TOP} || abs_path(dirname(__FILE__) . '/../../..');
}

sub out {
    my $dir = $ENV{FCNG_OUT} || top() . '/out';
    return $dir =~ m{^/} ? $dir : top() . "/$dir";
}

# A program, also when PATH lacks the sbin folders.
sub find_tool {
    for my $name (@_) {
        if ($name =~ m{/}) {
            return $name if -x $name;
            next;
        }
        for my $dir (split(/:/, $ENV{PATH} // ''), '/usr/local/sbin',
                '/usr/sbin', '/sbin', '/usr/local/bin', '/usr/bin') {
            return "$dir/$name" if length $dir && -x "$dir/$name"
                && !-d "$dir/$name";
        }
    }
    return;
}

# A file that the build makes; made now when a test is run by hand.
sub built {
    my ($file) = @_;
    if (!-e $file && index($file, top() . '/') == 0) {
        my $target = substr $file, length(top()) + 1;
        my ($rc) = run_bounded(300, find_tool('make'), '-s', '-C', top(),
            $target);
        return if $rc;
    }
    return -e $file ? $file : undef;
}

# User and group that a server started by root becomes; nothing otherwise.
sub nobody {
    return if $> != 0;
    for my $user (qw(nobody www-data)) {
        my @pw = getpwnam $user or next;
        return ($user, scalar getgrgid $pw[3]);
    }
    return;
}

sub server_user {
    return (nobody())[0] // getpwuid $>;
}

sub tmpdir {
    my $dir = File::Temp::tempdir('fcng-XXXXXXXX', DIR => FCNG::Tmp::root(),
        CLEANUP => !$ENV{FCNG_KEEP});
    chmod 0755, $dir;
    return $dir;
}

# Below the range from which the kernel takes ports for outgoing connections,
# so that only another server could take it meanwhile.
sub free_port {
    for (1 .. 200) {
        my $port = 10_000 + int rand 22_000;
        my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
            LocalPort => $port, Proto => 'tcp', Listen => 1) or next;
        close $socket;
        return $port;
    }
    die "no free port\n";
}

# wait_until(seconds, code): polls; the code's true value, or nothing.
sub wait_until {
    my ($seconds, $code) = @_;
    my $until = time + $seconds;
    my $pause = 0.001;
    while (1) {
        my $value = $code->();
        return $value if $value;
        return if time > $until;
        sleep $pause;
        $pause *= 1.5 if $pause < 0.05;
    }
}

sub slurp {
    my ($file) = @_;
    open my $fh, '<:raw', $file or return '';
    local $/;
    return <$fh> // '';
}

sub spew {
    my ($file, $bytes) = @_;
    open my $fh, '>:raw', $file or die "$file: $!\n";
    print $fh $bytes;
    close $fh or die "$file: $!\n";
    return $file;
}

# Bytes that differ everywhere and are the same in each run.
sub random_bytes {
    my ($size, $seed) = @_;
    return '' if !$size;
    require Digest::SHA;
    my $block = '';
    my $i = 0;
    my $unit = $size < 65_536 ? $size : 65_536;
    $block .= Digest::SHA::sha512(($seed // 'seed') . $i++)
        while length $block < $unit;
    my $bytes = $block x (1 + int($size / length $block));
    # Equal blocks would hide a block that is lost or comes twice.
    for (my $at = 0; $at + 8 <= $size; $at += 4096) {
        substr $bytes, $at, 8, pack 'Q>', $at;
    }
    return substr $bytes, 0, $size;
}

# spawn(%how, command...): a child process, ended at the latest with the test.
# stdin: a handle (a listening socket for FastCGI applications); log: a file
# for both outputs; env: a hash.
sub spawn {
    my ($how, @command) = @_;
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        setpgrp 0, 0;
        close_kept($how->{stdin} ? fileno $how->{stdin} : -1);
        @ENV{keys %{ $how->{env} || {} }} = values %{ $how->{env} || {} };
        chdir $how->{dir} if $how->{dir};
        if ($how->{stdin}) { POSIX::dup2(fileno $how->{stdin}, 0) }
        else { open STDIN, '<', '/dev/null' }
        my $log = $how->{log} // '/dev/null';
        open STDOUT, '>>', $log;
        open STDERR, '>>', $log;
        no warnings "exec";
        exec { $command[0] } @command;
        POSIX::_exit(127);
    }
    $children{$pid} = 1;
    return $pid;
}

sub adopt { $children{$_[0]} = 1 }
sub dismiss { delete $children{$_[0]} }

# Ends a child: the signal, and KILL if that did not help.  One that is killed
# cannot end its own children: they are of its group.
sub end_child {
    my ($pid, $signal, $seconds) = @_;
    $signal //= 'TERM';
    kill $signal, $signal eq 'KILL' ? (-$pid, $pid) : $pid;
    my $gone = wait_until($seconds // 10,
        sub { waitpid($pid, POSIX::WNOHANG()) != 0 });
    my $status = $?;
    if (!$gone) {
        kill KILL => -$pid, $pid;
        waitpid $pid, 0;
        $status = -1;
    }
    delete $children{$pid};
    return $status;
}

# run_bounded(seconds, command...): (exit code, standard output, error).
sub run_bounded {
    my ($seconds, @command) = @_;
    my $dir = File::Temp->newdir('fcng-run-XXXXXXXX', DIR => FCNG::Tmp::root());
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        setpgrp 0, 0;
        close_kept(-1);
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', "$dir/out";
        open STDERR, '>', "$dir/err";
        no warnings "exec";
        exec { $command[0] } @command;
        POSIX::_exit(127);
    }
    $children{$pid} = 1;
    my $done = wait_until($seconds,
        sub { waitpid($pid, POSIX::WNOHANG()) == $pid });
    my $status = $?;
    if (!$done) {
        kill KILL => -$pid;
        waitpid $pid, 0;
        $status = 124 << 8;
    }
    delete $children{$pid};
    return ($status & 127 ? 128 + ($status & 127) : $status >> 8,
        slurp("$dir/out"), slurp("$dir/err"));
}

# What happens while a process stands still is one turn of its event loop.
sub in_one_turn {
    my ($pid, $code) = @_;
    kill STOP => $pid;
    wait_until(5, sub { slurp("/proc/$pid/stat") =~ /^\d+ \(.*\) T /s })
        or die "process $pid does not stop\n";
    my $result = $code->();
    kill CONT => $pid;
    return $result;
}

# Descriptors of this process that a forked child must not hold: else the
# other end would never see them closed.
sub keep_fd { $kept{fileno $_[0]} = $_[0] }
sub forget_fd { delete $kept{fileno $_[0]} if defined fileno $_[0] }

sub close_kept {
    my ($except) = @_;
    # Not POSIX::close: perl counts the handles of a descriptor and would
    # never close the next one that gets this number.
    for my $fd (keys %kept) {
        close $kept{$fd} if $fd != $except;
    }
    %kept = ();
}

# A forked child that ends through exit must not end its siblings.
END {
    if ($$ == $owner) {
        local $?;
        for my $pid (keys %children) {
            kill TERM => $pid;
        }
        for my $pid (keys %children) {
            wait_until(3, sub { waitpid($pid, POSIX::WNOHANG()) != 0 })
                or kill KILL => -$pid, $pid;
        }
    }
}

$SIG{$_} = sub { exit 130 } for qw(TERM INT HUP);
$SIG{PIPE} = 'IGNORE';

1;
