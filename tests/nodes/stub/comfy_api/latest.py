"""Stand-in for ComfyUI's package of this name: schemas as plain data, videos as what they were made of."""

from typing import TypeAlias


class ComfyExtension:
    async def on_load(self):
        return None


class _Port:
    def __init__(self, id=None, display_name=None, tooltip=None, **more):
        self.id = id
        self.display_name = display_name
        self.tooltip = tooltip
        self.optional = more.pop("optional", False)
        self.default = more.pop("default", None)
        self.more = more


class _Socket:
    def __init_subclass__(cls):
        cls.Input = type("Input", (cls.Input,), {"type": cls.__name__})
        cls.Output = type("Output", (cls.Output,), {"type": cls.__name__})

    class Input(_Port):
        def __init__(self, id, display_name=None, optional=False, tooltip=None, lazy=None, advanced=None):
            super().__init__(id, display_name, tooltip, optional=optional)

    class Output(_Port):
        def __init__(self, id=None, display_name=None, tooltip=None):
            super().__init__(id, display_name, tooltip)


class io:
    Input: TypeAlias = _Port

    class ComfyNode:
        @classmethod
        def define_schema(cls):
            raise NotImplementedError

        @classmethod
        def GET_SCHEMA(cls):
            return cls.define_schema()

    class Schema:
        def __init__(self, node_id, display_name=None, category="", inputs=(), outputs=(), description="",
                     search_aliases=(), is_output_node=False):  # fmt: skip
            self.node_id = node_id
            self.display_name = display_name
            self.category = category
            self.inputs = list(inputs)
            self.outputs = list(outputs)
            self.description = description
            self.search_aliases = list(search_aliases)
            self.is_output_node = is_output_node

    class NodeOutput:
        def __init__(self, *args, ui=None):
            self.args = args
            self.ui = ui

        @property
        def result(self):
            return self.args

    class NodeReplace:
        def __init__(self, new_node_id, old_node_id, old_widget_ids=None, input_mapping=None, output_mapping=None):
            self.new_node_id = new_node_id
            self.old_node_id = old_node_id
            self.old_widget_ids = old_widget_ids
            self.input_mapping = input_mapping
            self.output_mapping = output_mapping

    @staticmethod
    def Custom(io_type):
        return type(io_type, (_Socket,), {"io_type": io_type})

    class Image(_Socket):
        pass

    class Mask(_Socket):
        pass

    class Latent(_Socket):
        pass

    class Audio(_Socket):
        pass

    class Video(_Socket):
        pass

    class Model(_Socket):
        pass

    class Vae(_Socket):
        pass

    class AudioEncoder(_Socket):
        pass

    class AudioEncoderOutput(_Socket):
        pass

    class BoundingBox(_Socket):
        class Input(_Port):
            def __init__(self, id, display_name=None, optional=False, tooltip=None, force_input=None):
                super().__init__(id, display_name, tooltip, optional=optional)

    class Boolean(_Socket):
        class Input(_Port):
            def __init__(self, id, display_name=None, optional=False, tooltip=None, default=None, advanced=None):
                super().__init__(id, display_name, tooltip, optional=optional, default=default, advanced=advanced)

    class String(_Socket):
        class Input(_Port):
            def __init__(self, id, display_name=None, optional=False, tooltip=None, default=None, multiline=False,
                         advanced=None):  # fmt: skip
                super().__init__(id, display_name, tooltip, optional=optional, default=default, advanced=advanced)

    class Int(_Socket):
        class Input(_Port):
            def __init__(self, id, display_name=None, optional=False, tooltip=None, default=None, min=None, max=None,
                         step=None, control_after_generate=None, advanced=None):  # fmt: skip
                more = {"min": min, "max": max, "step": step, "advanced": advanced}
                more["control_after_generate"] = control_after_generate
                super().__init__(id, display_name, tooltip, optional=optional, default=default, **more)

    class Float(_Socket):
        class Input(_Port):
            def __init__(self, id, display_name=None, optional=False, tooltip=None, default=None, min=None, max=None,
                         step=None, round=None, advanced=None):  # fmt: skip
                more = {"min": min, "max": max, "step": step, "advanced": advanced}
                super().__init__(id, display_name, tooltip, optional=optional, default=default, **more)

    class Combo(_Socket):
        class Input(_Port):
            def __init__(self, id, options=None, display_name=None, optional=False, tooltip=None, default=None,
                         advanced=None):  # fmt: skip
                default = next(iter(options), None) if default is None else default
                more = {"options": options, "advanced": advanced}
                super().__init__(id, display_name, tooltip, optional=optional, default=default, **more)


_replacements = []


class _NodeReplacement:
    async def register(self, node_replace):
        _replacements.append(node_replace)


class ComfyAPI:
    def __init__(self):
        self.node_replacement = _NodeReplacement()


class Types:
    class VideoComponents:
        def __init__(self, images, frame_rate, audio=None):
            self.images = images
            self.frame_rate = frame_rate
            self.audio = audio


class InputImpl:
    class VideoFromFile:
        def __init__(self, file, *, start_time=0, duration=0):
            self.file = file
            self.window = (start_time, duration)

        def get_stream_source(self):
            return self.file

        def get_active_trim_window(self):
            return self.window

    class VideoFromComponents:
        def __init__(self, components):
            self.components = components

        def get_components(self):
            return self.components
