# SPDX-License-Identifier: BSD-2-Clause
#
# What FastCgiNgPass serves is the application's alone: no FallbackResource,
# DirectoryIndex, type or file of that name stands in between, and a script's
# source is never shown.
use strict;
use warnings;
use FCNG::App;
use FCNG::Hosts;
use Test::More;

FCNG::Hosts->each(only => 'apache', sub {
    my ($host) = @_;
    my $app = FCNG::App->new(request => sub {
        my ($r) = @_;
        $r->text(join '|', 'app', map { $r->env($_) // '-' }
            qw(SCRIPT_NAME PATH_INFO));
    });
    $host->file('index.php', 'SOURCE');
    $host->file('app/index.php', 'SOURCE');
    $host->file('app/page.html', 'SOURCE');
    my $address = $app->address;
    push @{ $host->{apps} }, $app;
    $host->server(apache => <<"CONF");
FastCgiNgPool php $address
<FilesMatch "\\.php\$">
    SetHandler fastcgi-ng:php
</FilesMatch>
FallbackResource /index.php
DirectoryIndex index.php
<Location "/app">
    FastCgiNgPass php
</Location>
<Location "/none">
    FastCgiNgPass php
</Location>
<Location "/app/files">
    FastCgiNgPass off
</Location>
CONF
    $host->start;
    my %wanted = (
        '/app' => 'app|/app|',
        '/app/' => 'app|/app|/',
        '/app/page.html' => 'app|/app|/page.html',
        '/app/index.php' => 'app|/app|/index.php',
        '/none/some/path' => 'app|/none|/some/path',
        '/none/x.php/y' => 'app|/none|/x.php/y',
        '/elsewhere' => 'app|/index.php|-',
        '/app/files/x' => 'app|/index.php|-',
    );
    for my $path (sort keys %wanted) {
        my $r = $host->get($path);
        is("$r->{status} $r->{body}", "200 $wanted{$path}", $path);
    }
});
