import agents.models.agent
import agents.models.provider
import agents.models.run
import agents.models.session
import core.ids
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='Agent',
            fields=[
                ('id', models.UUIDField(default=core.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=63)),
                ('description', models.TextField(blank=True)),
                ('is_enabled', models.BooleanField(default=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
            ],
            options={
                'ordering': ('name',),
            },
        ),
        migrations.CreateModel(
            name='AgentVersion',
            fields=[
                ('id', models.UUIDField(default=core.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('number', models.PositiveIntegerField()),
                ('state', models.CharField(choices=agents.models.agent.version_state_choices, default='draft', max_length=20)),
                ('spec', models.JSONField()),
                ('digest', models.CharField(max_length=64)),
                ('note', models.CharField(blank=True, max_length=500)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('published_at', models.DateTimeField(blank=True, null=True)),
            ],
            options={
                'ordering': ('-number',),
            },
        ),
        migrations.CreateModel(
            name='Checkpoint',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('sequence', models.IntegerField()),
                ('message_count', models.IntegerField()),
                ('state', models.JSONField()),
                ('workspace_digest', models.CharField(blank=True, default='', max_length=64)),
                ('created_at', models.DateTimeField()),
            ],
            options={
                'ordering': ('sequence',),
            },
        ),
        migrations.CreateModel(
            name='Message',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('position', models.IntegerField()),
                ('role', models.CharField(max_length=20)),
                ('parts', models.JSONField()),
                ('created_at', models.DateTimeField()),
            ],
            options={
                'ordering': ('position',),
            },
        ),
        migrations.CreateModel(
            name='Model',
            fields=[
                ('id', models.UUIDField(default=core.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=100)),
                ('vendor_name', models.CharField(help_text='What the vendor calls it.', max_length=200)),
                ('options', models.JSONField(blank=True, default=dict)),
                ('input_price_usd', models.DecimalField(blank=True, decimal_places=6, max_digits=12, null=True)),
                ('output_price_usd', models.DecimalField(blank=True, decimal_places=6, max_digits=12, null=True)),
                ('cache_read_price_usd', models.DecimalField(blank=True, decimal_places=6, max_digits=12, null=True)),
                ('cache_write_price_usd', models.DecimalField(blank=True, decimal_places=6, max_digits=12, null=True)),
                ('is_enabled', models.BooleanField(default=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
            ],
            options={
                'ordering': ('name',),
            },
        ),
        migrations.CreateModel(
            name='ModelRoute',
            fields=[
                ('id', models.UUIDField(default=core.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('priority', models.IntegerField(default=100, help_text='Lower is asked first.')),
                ('if_contains', models.JSONField(default=list)),
            ],
            options={
                'ordering': ('priority', 'id'),
            },
        ),
        migrations.CreateModel(
            name='PriceList',
            fields=[
                ('id', models.UUIDField(default=core.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('source', models.CharField(help_text='Whose list: models.dev or genai-prices.', max_length=40)),
                ('title', models.CharField(help_text="The file's name, or the version.", max_length=200)),
                ('digest', models.CharField(help_text='SHA-256 of what was read.', max_length=64)),
                ('imported_at', models.DateTimeField()),
                ('added', models.PositiveIntegerField(default=0)),
                ('changed', models.PositiveIntegerField(default=0)),
                ('ended', models.PositiveIntegerField(default=0)),
                ('unchanged', models.PositiveIntegerField(default=0)),
                ('left_out', models.PositiveIntegerField(default=0, help_text='Entries without a price for input and output tokens.')),
            ],
            options={
                'ordering': ('-id',),
            },
        ),
        migrations.CreateModel(
            name='ModelPrice',
            fields=[
                ('id', models.UUIDField(default=core.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('source', models.CharField(max_length=40)),
                ('provider', models.CharField(help_text='What the list calls the vendor.', max_length=80)),
                ('host', models.CharField(blank=True, help_text="The vendor's address.", max_length=200)),
                ('vendor_name', models.CharField(help_text='What the vendor calls the model.', max_length=200)),
                ('input_usd', models.DecimalField(decimal_places=10, max_digits=20)),
                ('output_usd', models.DecimalField(decimal_places=10, max_digits=20)),
                ('cache_read_usd', models.DecimalField(decimal_places=10, max_digits=20, null=True)),
                ('cache_write_usd', models.DecimalField(decimal_places=10, max_digits=20, null=True)),
                ('reasoning_usd', models.DecimalField(decimal_places=10, max_digits=20, null=True)),
                ('tiers', models.JSONField(default=list)),
                ('valid_from', models.DateTimeField()),
                ('valid_until', models.DateTimeField(null=True)),
                ('price_list', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='prices', to='agents.pricelist')),
            ],
            options={
                'ordering': ('source', 'provider', 'vendor_name', '-valid_from'),
                'indexes': [models.Index(condition=models.Q(('valid_until__isnull', True)), fields=['vendor_name'], name='model_price_in_force')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('valid_until__isnull', True)), fields=('source', 'provider', 'vendor_name'), name='model_price_one_in_force')],
            },
        ),
        migrations.CreateModel(
            name='Provider',
            fields=[
                ('id', models.UUIDField(default=core.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=63)),
                ('kind', models.CharField(choices=agents.models.provider.kind_choices, max_length=20)),
                ('base_url', models.CharField(blank=True, max_length=500)),
                ('key_env', models.CharField(blank=True, max_length=100)),
                ('sealed_key', models.BinaryField(null=True)),
                ('script', models.TextField(blank=True, help_text='YAML; for the scripted kind.')),
                ('max_concurrency', models.PositiveIntegerField(default=64)),
                ('max_retries', models.PositiveIntegerField(default=2)),
                ('timeout_seconds', models.FloatField(default=120)),
                ('is_enabled', models.BooleanField(default=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
            ],
            options={
                'ordering': ('name',),
            },
        ),
        migrations.CreateModel(
            name='Run',
            fields=[
                ('id', models.UUIDField(default=core.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('kind', models.CharField(choices=agents.models.run.kind_choices, default='agent', max_length=10)),
                ('agent_name', models.CharField(max_length=63)),
                ('parent_call_id', models.UUIDField(null=True)),
                ('root_id', models.UUIDField()),
                ('depth', models.PositiveSmallIntegerField(default=0)),
                ('state', models.CharField(choices=agents.models.run.state_choices, default='queued', max_length=12)),
                ('wait_kind', models.CharField(blank=True, choices=agents.models.run.wait_choices, default='', max_length=12)),
                ('wake_at', models.DateTimeField(blank=True, null=True)),
                ('reason', models.TextField(blank=True, help_text='Why it is in this state, for people.')),
                ('error_code', models.CharField(blank=True, max_length=60)),
                ('control', models.CharField(blank=True, choices=agents.models.run.control_choices, default='', max_length=10)),
                ('control_by', models.CharField(blank=True, max_length=150)),
                ('debug', models.JSONField(help_text='Step mode and breakpoints; null without.', null=True)),
                ('debug_passed', models.JSONField(help_text='What a person has let go.', null=True)),
                ('debug_version', models.IntegerField(default=0, help_text='Grows with each change by a person.')),
                ('fence', models.BigIntegerField(default=0)),
                ('lease_until', models.DateTimeField(null=True)),
                ('worker_id', models.UUIDField(null=True)),
                ('commit_id', models.UUIDField(help_text="The owner's last group commit.", null=True)),
                ('crashes', models.PositiveSmallIntegerField(default=0)),
                ('priority', models.SmallIntegerField(default=0)),
                ('available_at', models.DateTimeField()),
                ('input', models.TextField(blank=True)),
                ('output', models.TextField(blank=True)),
                ('limits', models.JSONField(default=dict)),
                ('deadline_at', models.DateTimeField(null=True)),
                ('head_sequence', models.BigIntegerField(default=0)),
                ('message_count', models.IntegerField(default=0)),
                ('iteration', models.IntegerField(default=0)),
                ('input_tokens', models.BigIntegerField(default=0)),
                ('output_tokens', models.BigIntegerField(default=0)),
                ('cache_read_tokens', models.BigIntegerField(default=0)),
                ('cost_usd', models.DecimalField(decimal_places=8, default=0, max_digits=16)),
                ('cost_is_partial', models.BooleanField(default=False, help_text='Some calls had no known price; the cost is a floor.')),
                ('prefix_length', models.IntegerField(default=0)),
                ('forked_from_sequence', models.IntegerField(null=True)),
                ('is_rolled_back', models.BooleanField(default=False)),
                ('surface', models.CharField(blank=True, help_text='Where it was asked for.', max_length=20)),
                ('client', models.CharField(blank=True, help_text='With what, as the request itself says; never proven.', max_length=20)),
                ('idempotency_key', models.CharField(blank=True, max_length=200)),
                ('request_digest', models.CharField(blank=True, max_length=64)),
                ('trace_parent', models.CharField(blank=True, help_text='The traceparent of the request or call it began in.', max_length=55)),
                ('created_at', models.DateTimeField()),
                ('started_at', models.DateTimeField(null=True)),
                ('finished_at', models.DateTimeField(null=True)),
                ('updated_at', models.DateTimeField()),
                ('ended_cost_usd', models.GeneratedField(db_persist=True, expression=models.Case(models.When(finished_at__isnull=False, then=models.F('cost_usd'))), output_field=models.DecimalField(decimal_places=8, max_digits=16, null=True))),
            ],
            options={
                'ordering': ('-id',),
            },
        ),
        migrations.CreateModel(
            name='RunSnapshot',
            fields=[
                ('digest', models.CharField(max_length=64, primary_key=True, serialize=False)),
                ('content', models.JSONField()),
                ('created_at', models.DateTimeField(auto_now_add=True)),
            ],
        ),
        migrations.CreateModel(
            name='Session',
            fields=[
                ('id', models.UUIDField(default=core.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('title', models.CharField(blank=True, max_length=200)),
                ('strategy', models.CharField(choices=agents.models.session.strategy_choices, default='reject', max_length=20)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
            ],
            options={
                'ordering': ('-created_at',),
            },
        ),
        migrations.CreateModel(
            name='Worker',
            fields=[
                ('id', models.UUIDField(default=core.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=200)),
                ('host', models.CharField(max_length=200)),
                ('pid', models.IntegerField()),
                ('version', models.CharField(blank=True, max_length=40)),
                ('capacity', models.IntegerField()),
                ('running', models.IntegerField(default=0)),
                ('ended_lately', models.IntegerField(default=0, help_text='Runs it ended in the last five minutes.')),
                ('is_draining', models.BooleanField(default=False)),
                ('drain_asked_at', models.DateTimeField(blank=True, null=True)),
                ('drain_asked_by', models.CharField(blank=True, max_length=150)),
                ('started_at', models.DateTimeField()),
                ('seen_at', models.DateTimeField(db_index=True)),
            ],
            options={
                'ordering': ('-seen_at',),
            },
        ),
        migrations.CreateModel(
            name='WorkspaceHead',
            fields=[
                ('root_id', models.UUIDField(primary_key=True, serialize=False)),
                ('digest', models.CharField(max_length=64)),
                ('updated_at', models.DateTimeField()),
            ],
        ),
    ]
