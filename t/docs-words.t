#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
#
# docs/words.md, docs/nginx.md and docs/apache.md against the sources: both
# command tables, the core's words and messages, what goes to the logs.
# Everything that exists is told in each place, nothing else is, the defaults
# of the words are right, and each server takes the words that it is said to
# take and no other.
use strict;
use warnings;
use FCNG::Host::Apache;
use FCNG::Host::Nginx;
use FCNG::Util qw(slurp top);
use Test::More;

my $top = top();
my %doc = map { $_ => slurp("$top/docs/$_.md") } qw(words nginx apache);

sub source { join '', map { slurp($_) } sort glob "$top/$_[0]" }

# "FastCgiNgReadTimeout" for "fastcgi_ng_read_timeout".
sub camel {
    my ($name) = @_;
    $name =~ s/^fastcgi_ng_//;
    return 'FastCgiNg' . join '', map { ucfirst } split /_/, $name;
}

sub same {
    my ($got, $wanted, $what) = @_;
    my %wanted = map { $_ => 1 } @$wanted;
    my %got = map { $_ => 1 } @$got;
    my @missing = sort grep { !$got{$_} } keys %wanted;
    my @unknown = sort grep { !$wanted{$_} } keys %got;
    my @twice = sort grep { my $name = $_; 1 < grep { $_ eq $name } @$got }
        keys %got;
    ok(!@missing && !@unknown && !@twice, $what)
        or diag("not told: @missing\nno such thing: @unknown\n",
            "told twice: @twice");
}

# ---- what there is ----

my @flags = ([MAIN => 'http'], [SRV => 'server'], [LOC => 'location'],
    [LIF => 'if in location'], [LMT => 'limit_except'], [UPS => 'upstream']);

# Name => contexts.  All macros of the tables but ngx_string stand for
# directives of http, server and location.
sub nginx_directives {
    my $text = source('ngx_module/*.c');
    my %found;
    while ($text =~ /\nngx_command_t\s+\w+\[\]\s*=\s*\{(.*?)ngx_null_command/sg) {
        for my $entry (split /^(?=    (?:\{|\w+\())/m, $1) {
            my ($macro, $name) = $entry =~ /(\w+)\(\s*"(\w+)"/ or next;
            if ($macro ne 'ngx_string') {
                $found{"fastcgi_ng_$name"} = 'http, server, location';
                next;
            }
            $found{$name} = join ', ', map { $_->[1] }
                grep { $entry =~ /NGX_HTTP_$_->[0]_CONF\b/ } @flags;
        }
    }
    return \%found;
}

# Name => what lets .htaccess hold it.
sub apache_directives {
    my $text = source('mod_fastcgi_ng/*.c');
    my %found;
    while ($text =~ /\nconst command_rec \w+\[\] = \{(.*?)\{ NULL \}/sg) {
        for my $entry (split /(?=AP_INIT_)/, $1) {
            my ($name) = $entry =~ /^AP_INIT_\w+\("(\w+)"/ or next;
            $found{$name} = $entry =~ /OR_FILEINFO/ ? 'FileInfo'
                : $entry =~ /OR_AUTHCFG/ ? 'AuthConfig' : '';
        }
    }
    return \%found;
}

# A word's default as one writes it: what fcng_pool_options_init() sets.
sub written {
    my ($kind, $n, $unlimited) = @_;
    return $n ? 'on' : 'off' if $kind eq 'ON_OFF';
    return (qw(off on auto))[$n] if $kind eq 'MULTIPLEX';
    return $n % 1024 ? $n : $n / 1024 . 'k' if $kind eq 'SIZE';
    return 'unlimited' if $unlimited ne 'NO_UNLIMITED' && $n eq $unlimited;
    return $n if $kind eq 'COUNT';
    return $n % 1_000_000 ? $n / 1000 . 'ms' : $n / 1_000_000 . 's';
}

sub core_words {
    my $text = slurp("$top/core/src/fcng_options.c");
    my ($init) = $text =~ /void fcng_pool_options_init\(.*?\{(.*?)\n\}/s;
    my %set = $init =~ /\.(\w+) = (\w+)/g;
    s/UINT32_MAX/COUNT_MAX/ for values %set;
    my %found;
    while ($text =~ /\[FCNG_WORD_\w+\] = \{ "(\w+)", (\w+),\s+AT\((\w+)\),\s+(\w+),\s+(\w+),\s+(\w+)/g) {
        my ($word, $kind, $member, $unlimited) = ($1, $2, $3, $6);
        $found{$word} = written($kind, $set{$member} // 0, $unlimited);
    }
    my $header = slurp("$top/core/include/fcng/fcng.h");
    my ($enum) = $header =~ /enum fcng_word \{(.*?)FCNG_WORD_COUNT/s;
    die "the table of words is not understood\n"
        if !%found || keys %found != (() = $enum =~ /FCNG_WORD_/g);
    return \%found;
}

my $nginx = nginx_directives();
my $apache = apache_directives();
my $words = core_words();
my ($tags) = [source('core/src/fcng_msg.c') =~ /"(FCNG\d+)"/g];
# A prefix has names behind it.
my @variables = map { s/_$/_NAME/r } source('ngx_module/*.c')
    =~ /\{ ngx_string\("(fastcgi_ng_\w+)"\), NULL,/g;
my @notes = source('mod_fastcgi_ng/*.c') =~ /\bnote\(task, "(fastcgi_ng_\w+)"/g;

cmp_ok(scalar keys %$nginx, '>', 50, 'the table of nginx is understood');
cmp_ok(scalar keys %$apache, '>', 10, 'and that of Apache');
cmp_ok(scalar @$tags, '>', 15, 'and the messages');
cmp_ok(scalar @variables, '>', 7, 'and the variables');
cmp_ok(scalar @notes, '>', 5, 'and the notes');

# ---- what is told ----

sub section {
    my ($text, $title) = @_;
    my ($found) = $text =~ /^\#\# \Q$title\E\n(.*?)(?=^\#\# |\z)/ms;
    return $found // '';
}

sub rows {
    my ($text) = @_;
    my @rows = map { [map { s/\\\|/|/gr } split /\s*(?<!\\)\|\s*/, $_] }
        grep { /^\|/ && !/^\|-/ } split /\n/, $text;
    shift @$_ for @rows;
    return @rows;
}

# Names in `code` of the first column, without the head of the table.
sub listed { map { $_->[0] =~ /^`\$?([^`]*)`$/ ? $1 : () } rows($_[0]) }

# Each directive of a page has its table and an example.
sub entries {
    my ($page) = @_;
    my %found;
    my (undef, @parts) = split /^\#\#\# (.*)\n/m,
        section($doc{$page}, 'Directives');
    while (my ($title, $text) = splice @parts, 0, 2) {
        my @names = grep { !/^(?:SetHandler|Require)/ } split /, /, $title or next;
        my %row = map { $_->[0] => $_->[1] } grep { @$_ == 2 } rows($text);
        my $code = join "\n", $text =~ /^    (.*)$/mg;
        my @faults = map { "no $_" } grep { !length($row{$_} // '') }
            qw(Description Syntax Default Context);
        push @faults, "no syntax of $names[0]"
            if ($row{Syntax} // '') !~ /`\Q$names[0]\E[ `]/;
        push @faults, 'no example'
            if !grep { $code =~ /^\s*\Q$_\E[\s;]/m } @names;
        is("@faults", '', "$page.md: $title");
        $found{$_} = { %row, text => $text } for @names;
    }
    return \%found;
}

my $told = entries('nginx');
same([keys %$told], [keys %$nginx], 'nginx.md has each directive');
for my $name (grep { $told->{$_} } sort keys %$nginx) {
    is($told->{$name}{Context}, $nginx->{$name}, "context of $name");
}
$told = entries('apache');
same([keys %$told], [keys %$apache], 'apache.md has each directive');
for my $name (grep { $told->{$_} } sort keys %$apache) {
    my ($override) = $told->{$name}{Override} =~ /^(FileInfo|AuthConfig)$/;
    is($override // '', $apache->{$name}, "$name in .htaccess");
}

my @pairs = rows(section($doc{words}, 'Directives'));
shift @pairs;
same([grep { $_ ne '-' } map { $_->[0] } @pairs], [keys %$nginx],
    'words.md has each directive of nginx');
same([grep { $_ ne '-' } map { $_->[1] } @pairs], [keys %$apache],
    'words.md has each directive of Apache');
for my $pair (grep { $_->[0] ne '-' && $_->[1] ne '-' } @pairs) {
    is($pair->[1], camel($pair->[0]), "$pair->[0] in both");
}
my %camel = map { camel($_) => 1 } keys %$nginx;
is_deeply([grep { $apache->{camel($_->[0])} && $_->[1] eq '-'
        || $_->[0] eq '-' && $camel{$_->[1]} } @pairs], [],
    'what both have stands in one row');

# ---- the words of a pool ----

my @rows = grep { $_->[0] =~ /^`/ } rows(section($doc{words},
    'Words of a pool'));
my %word = map { $_->[0] =~ /`(\w+)`/
    ? ($1 => { default => $_->[1], in => $_->[3] }) : () } @rows;
# Apache's own: "for" is no business of connections.
same([map { $_->[0] =~ /`(\w+)`/ } @rows], [keys %$words, 'for'],
    'words.md has each word');
for my $name (sort keys %$words) {
    is($word{$name}{default}, $words->{$name}, "words.md: default of $name");
}
my %takes;
for my $host (qw(nginx apache)) {
    my $title = $host eq 'nginx' ? 'fastcgi_ng_pool' : 'FastCgiNgPool';
    my ($text) = $doc{$host} =~ /^\#\#\# $title\n(.*?)^\#/ms;
    my %row = map { ($_->[0] // '') =~ /^`(\w+)`$/ ? ($1 => $_->[1]) : () }
        rows($text);
    $takes{$host} = [sort grep {
        $word{$_}{in} eq 'both' || lc $word{$_}{in} eq $host } keys %word];
    same([keys %row], $takes{$host}, "$host.md has each word");
    for my $name (grep { $words->{$_} && $row{$_} } @{ $takes{$host} }) {
        is($row{$name}, $words->{$name}, "$host.md: default of $name");
    }
}

# What the servers themselves say.
sub value { $_[0] eq 'for' ? '/srv' : $words->{$_[0]} }

for my $class (qw(FCNG::Host::Nginx FCNG::Host::Apache)) {
    my $name = $class->name;
    SKIP: {
        my $missing = $class->missing;
        skip $missing, scalar keys %word if $missing;
        for my $word (sort keys %word) {
            my $host = $class->new;
            my $text = "$word=" . value($word);
            $host->server(apache => "FastCgiNgPool x 127.0.0.1:9000 $text");
            $host->main(nginx => "fastcgi_ng_pool $text;");
            my ($exit, $said) = $host->test_conf;
            my $should = grep { $_ eq $word } @{ $takes{$name} };
            is($exit == 0 ? 1 : 0, $should ? 1 : 0,
                "$name " . ($should ? 'takes ' : 'refuses ') . $text)
                or diag($said);
        }
    }
}

# ---- the logs ----

for my $host (qw(nginx apache)) {
    same([section($doc{$host}, 'Logs') =~ /^\| (FCNG\d+) \|/mg], $tags,
        "$host.md has each tag");
}
same([listed(section($doc{nginx}, 'Variables'))], \@variables,
    'nginx.md has each variable');
same([grep { /^fastcgi_ng_/ } listed(section($doc{apache}, 'Logs'))], \@notes,
    'apache.md has each note');
@pairs = rows(section($doc{words}, 'Words for the log'));
shift @pairs;
same([map { $_->[0] =~ /^\$(\w+)$/ } @pairs], \@variables,
    'words.md has each variable');
same([map { $_->[1] =~ /^%\{(\w+)\}n$/ } @pairs], \@notes,
    'words.md has each note');
done_testing();
