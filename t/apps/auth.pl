# SPDX-License-Identifier: BSD-2-Clause
#
# An Authorizer on FCGI.pm (libfcgi-perl), as auth.c is one in C:
#
#   auth.pl PATH|:PORT
use strict;
use warnings;
use FCGI;

my ($where) = @ARGV;
my $socket = FCGI::OpenSocket($where, 128);
chmod 0777, $where;
my %env;
my $request = FCGI::Request(\*STDIN, \*STDOUT, \*STDERR, \%env, $socket);
while ($request->Accept >= 0) {
    if (($env{FCGI_ROLE} // '') ne 'AUTHORIZER') {
        print "Status: 500\r\n\r\nnot my role\n";
    }
    elsif (($env{HTTP_COOKIE} // '') =~ /^key=([a-z]+)/) {
        print "Status: 200\r\nVariable-REMOTE_USER: $1\r\n\r\n";
    }
    else {
        print "Status: 403\r\nContent-Type: text/html\r\n\r\n"
            . "<p>No key: you may not see $env{REQUEST_URI}.</p>\n";
    }
}
