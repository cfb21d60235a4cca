#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause

# An application on FCGI::Async:
#
#   async.pl PATH|PORT|-      -: the listening socket is descriptor 0
#
# By QUERY_STRING: "env" lists the parameters, "exit=N" ends with that
# appStatus, "stderr" writes to STDERR, "http" answers as an HTTP::Response
# does (with a status line first), "meet=N&wait=SECONDS" waits until there are
# N such requests at once and then as long as each of them says, and tells which
# answer it is; else STDIN comes back.

use strict;
use warnings;

use FCGI::Async;
use IO::Async::Loop;
use IO::Socket::UNIX;

my ($where) = @ARGV;
my $loop = IO::Async::Loop->new;

my @waiting; # [request, seconds]

sub answer_all {
    my $answers = 0;
    for (splice @waiting) {
        my ($request, $seconds) = @$_;
        $loop->watch_time(after => $seconds, code => sub {
            $request->print_stdout("Content-Type: text/plain\r\n\r\n"
                . ++$answers);
            $request->finish(0);
        });
    }
}

my $fcgi = FCGI::Async->new(
    on_request => sub {
        my ($self, $request) = @_;
        $request->set_encoding(undef); # bytes, not characters
        my $params = $request->params;
        my $query = $params->{QUERY_STRING} // '';
        my $status = 0;
        if ($query =~ /^meet=(\d+)&wait=([\d.]+)$/) {
            answer_all() if push(@waiting, [$request, $2]) == $1;
            return;
        }
        if ($query eq 'http') {
            $request->print_stdout("HTTP/1.1 201 Made\r\n");
        }
        $request->print_stdout("Content-Type: text/plain\r\n\r\n");
        if ($query eq 'env') {
            $request->print_stdout("$_=$params->{$_}\n")
                for sort keys %$params;
        } elsif ($query =~ /^exit=(\d+)$/) {
            $status = $1;
        } elsif ($query eq 'stderr') {
            $request->print_stderr("a line for the log\n");
        } else {
            while (defined(my $line = $request->read_stdin_line)) {
                $request->print_stdout($line);
            }
        }
        $request->finish($status);
    },
);
$loop->add($fcgi);

if ($where eq '-') {
    # As FCGI::Async's own documentation has it.
    $fcgi->listen(handle => \*STDIN);
} elsif ($where =~ m!^/!) {
    my $socket = IO::Socket::UNIX->new(Local => $where, Listen => 128)
        or die "$where: $!\n";
    chmod 0777, $where;
    $fcgi->listen(handle => $socket);
} else {
    $fcgi->listen(
        service => $where,
        host => '127.0.0.1',
        socktype => 'stream',
        on_resolve_error => sub { die "$_[0]\n" },
        on_listen_error => sub { die "cannot listen on $where\n" },
    );
}

$| = 1;
print "ready\n";
$loop->run;
