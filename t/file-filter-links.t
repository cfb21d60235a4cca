# SPDX-License-Identifier: BSD-2-Clause
#
# Symbolic links are followed to a file for a Filter application where the
# server follows them for its own files, and nowhere else: disable_symlinks,
# Options -FollowSymLinks.
use strict;
use warnings;
use FCNG::Hosts;
use FCNG::Programs;
use FCNG::Util qw(spew);
use Test::More;

if (my $missing = FCNG::Programs->missing('upper')) {
    plan skip_all => $missing;
}

FCNG::Hosts->each(sub {
    my ($host) = @_;
    my $app = FCNG::Programs->upper;
    for my $place (qw(open closed own)) {
        my $dir = $host->docroot . "/$place";
        mkdir $dir;
        spew("$dir/a.txt", 'abc');
        symlink "$dir/a.txt", "$dir/link.txt" or die "symlink: $!\n";
    }
    $host->file_filter('/open/', app => $app);
    $host->file_filter('/closed/', app => $app,
        nginx => 'disable_symlinks on;');
    $host->server(nginx => "location /own/ {\ndisable_symlinks on;\n}\n");
    $host->main(apache => '<Directory "' . $host->docroot . "/$_\">\n"
        . "Options -FollowSymLinks\n</Directory>\n") for qw(closed own);
    $host->expect(qr/link\.txt|symbolic link/i);
    $host->start;

    is($host->get('/open/link.txt')->{body}, 'ABC', 'a link is followed');
    is($host->get('/closed/a.txt')->{body}, 'ABC', 'a file is no link');
    my $own = $host->get('/own/link.txt');
    is($own->{status}, 403, 'the server itself does not follow');
    my $r = $host->get('/closed/link.txt');
    is($r->{status}, $own->{status}, 'nor does the Filter get it');
    unlike($r->{body}, qr/abc/i, 'and nothing of it is sent');
});
